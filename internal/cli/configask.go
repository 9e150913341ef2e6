package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/internal/term"
)

// interview asks at the terminal for what a new profile lacks.
type interview struct {
	app    *app
	getenv func(string) string
	// flags are the settings given so far, with the answers.
	flags map[string]string
	// has are the settings that something gives; inherited are those of the
	// default that are asked about still, since nothing else was given.
	has       map[string]bool
	inherited map[string]string
	// values are what is to be written.
	values map[string]string
}

// question is a setting that is asked for. The text says where to find it.
type question struct {
	name, text string
	optional   bool
}

func questions() []question {
	return []question{
		{"certificate", "Certificate file (PEM, DER or PKCS#12)", false},
		{"private-key", "Private key file (empty: it is in the certificate's file)", true},
		{"trust-anchor-arn", `Trust anchor ARN (AWS console, IAM Roles Anywhere, "Trust anchors"; or output TrustAnchorArn of "eks-x509 setup status")`, false},
		{"profile-arn", `Roles Anywhere profile ARN (AWS console, IAM Roles Anywhere, "Profiles"; or output ProfileArn)`, false},
		{"role-arn", `Role ARN (AWS console, IAM, "Roles"; or output RoleArn)`, false},
		{"cluster-name", "EKS cluster name (empty: none)", true},
	}
}

// run asks in turn. An answer that is not accepted is asked for again; the ones
// before it stay.
func (i *interview) run(ctx context.Context) error {
	asked := false
	for _, q := range questions() {
		_, inherits := i.inherited[q.name]
		switch {
		case i.has[q.name] && !inherits:
			continue
		case q.name == "private-key" && (i.has["certificate"] && len(i.inherited) == 0 || i.values["certificate"] == ""): // it goes with the certificate
			continue
		case q.name == "cluster-name" && !asked && !inherits:
			continue
		}
		asked = true
		if err := i.ask(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func (i *interview) ask(ctx context.Context, q question) error {
	prompt := q.text
	if value := i.inherited[q.name]; value != "" {
		prompt = strings.TrimSuffix(strings.Split(prompt, " (")[0], " ") + " (Enter: the default's, " + value + ")"
	}
	for {
		answer, err := term.ReadLine(ctx, prompt+": ")
		if errors.Is(err, term.ErrNoTerminal) {
			return misuse("no --%s given, and no terminal to ask at", q.name)
		}
		if err != nil {
			return err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" && !q.optional && i.inherited[q.name] == "" {
			i.app.notice("a value is needed; Ctrl-C ends without writing anything")
			continue
		}
		refused, err := i.check(ctx, q.name, answer)
		if err != nil {
			return err
		}
		if refused == nil {
			return nil
		}
		i.app.notice("not accepted: " + refused.Error())
	}
}

// check accepts an answer, or says why it is refused. The error is of what was
// given before the questions.
func (i *interview) check(ctx context.Context, name, answer string) (refused, err error) {
	flags, value := maps.Clone(i.flags), answer
	if answer != "" {
		if config.IsPath(name) {
			if refused = config.CheckPath(name, answer); refused != nil {
				return refused, nil
			}
			if value, refused = config.ExpandHome(answer, i.app.Getenv); refused != nil {
				return fmt.Errorf("invalid %s: %w", name, refused), nil
			}
			value = absolute(name, value)
		}
		if refused = checkValue(name, value); refused != nil {
			return refused, nil
		}
		flags[name] = value
		if _, err := config.Load(flags, i.getenv); err != nil {
			e, ok := errors.AsType[*config.Error](err)
			if ok && e.Where == "--"+name && !e.Missing {
				return err, nil
			}
			if !ok || !e.Missing {
				return nil, err
			}
		}
	}
	if refused = i.checkFiles(ctx, name, flags); refused != nil {
		return refused, nil
	}
	if answer != "" {
		i.flags, i.values[name] = flags, value
	}
	return nil, nil
}

// checkFiles opens the certificate, and the key with it, as far as no password is
// needed.
func (i *interview) checkFiles(ctx context.Context, name string, flags map[string]string) error {
	if name != "certificate" && name != "private-key" {
		return nil
	}
	c, err := config.LoadKey(flags, i.getenv)
	if err != nil {
		return err
	}
	c.Password = config.Password{}
	if name == "certificate" {
		_, err = keys.OpenCertificate(ctx, keys.Source{Certificate: c.Certificate, Intermediates: c.Intermediates})
	} else {
		o := i.app.sessionOptions()
		o.AskPassword, o.Files, o.Warn = nil, nil, func(string) {}
		_, err = session.OpenKey(ctx, c, o)
	}
	if e, ok := errors.AsType[*keys.Error](err); ok && (e.Reason == keys.PasswordNeeded || e.Reason == keys.WrongPassword) {
		return nil // it is asked for before the profile is written
	}
	return err
}
