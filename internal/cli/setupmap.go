package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

type mapFlags struct {
	spec             specFlags // a file, in place of what follows
	roleARN          string
	username         string
	groups, clusters []string
	remove, replace  bool
	dryRun, yes      bool
	output           string
}

func newSetupMapRoleCmd(a *app) *cobra.Command {
	var flags mapFlags
	var admin adminFlags
	cmd := &cobra.Command{
		Use:   "map-role",
		Short: "Map the role in clusters that still have aws-auth, or --remove it",
		Long: `Write the role into the ConfigMap aws-auth of clusters that have no access entries
yet (authentication mode CONFIG_MAP), as eksctl create iamidentitymapping does: in
the clusters of access.yaml that say awsAuth: true, or by flags; the role is the
stack's, or --role-arn.

Nothing but the role's own lines is changed, and if others write at the same time,
nothing of theirs is lost. A path in the role's ARN is left out: an entry with one
fits nobody. Your own AWS credentials must be those of an administrator of the
cluster.`,
		Example: `  eks-x509 setup map-role --aws-profile administrator --cluster-name old-cluster --group viewers \
      --username 'x509:{{SessionName}}' --role-arn arn:aws:iam::123456789012:role/eks-x509-sandbox
  eks-x509 setup map-role --aws-profile administrator --cluster-name old-cluster --remove --yes \
      --role-arn arn:aws:iam::123456789012:role/eks-x509-sandbox`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.mapRole(cmd, flags, admin) },
	}
	addStack(cmd, &flags.spec)
	f := cmd.Flags()
	f.StringVar(&flags.roleARN, "role-arn", "", "`ARN` of the role; default: that of the stack")
	f.StringArrayVar(&flags.clusters, "cluster-name", nil, "`NAME` of a cluster; may be repeated")
	f.StringVar(&flags.username, "username", "", "Kubernetes `NAME` of the users; may hold {{SessionName}}; default: the session's ARN")
	f.StringArrayVar(&flags.groups, "group", nil, "Kubernetes `GROUP` of the users; may be repeated")
	f.BoolVar(&flags.replace, "replace", false, "put this in the place of what the role is mapped to now")
	f.BoolVar(&flags.remove, "remove", false, "take all entries of the role out")
	f.BoolVar(&flags.dryRun, "dry-run", false, "print what would change in aws-auth, and change nothing")
	f.BoolVar(&flags.yes, "yes", false, "do not ask before --remove")
	addAdmin(cmd, &admin)
	addOutput(cmd, &flags.output)
	f.SortFlags = false
	return cmd
}

// clusterMapping is an entry and the cluster that it is for.
type clusterMapping struct {
	cluster string
	entry   provision.Mapping
}

// mappedCluster is what became of one, for --output json.
type mappedCluster struct {
	Cluster string             `json:"cluster"`
	Changed bool               `json:"changed"` // or, of a dry run, would be
	Mapping *provision.Mapping `json:"mapping,omitempty"`
	// Removed are the entries that were taken out, or replaced.
	Removed []provision.Mapping `json:"removed"`
}

func (a *app) mapRole(cmd *cobra.Command, flags mapFlags, admin adminFlags) error {
	if err := flags.check(cmd); err != nil {
		return err
	}
	client, wanted, err := a.wantedMappings(cmd, flags, admin)
	if err != nil {
		return err
	}
	done := []mappedCluster{}
	for _, w := range wanted {
		api, err := a.awsAuthOf(cmd.Context(), client, w.cluster)
		if err != nil {
			return err
		}
		one, err := a.editAWSAuth(cmd.Context(), api, w, flags)
		if err != nil {
			return fmt.Errorf("editing aws-auth of cluster %q: %w", w.cluster, err)
		}
		done = append(done, one)
	}
	if flags.output == "json" {
		return a.out.json(map[string]any{"schemaVersion": 1, "region": client.Region, "dryRun": flags.dryRun, "clusters": done})
	}
	return nil
}

func (f *mapFlags) check(cmd *cobra.Command) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	flags := given(cmd)
	exclude := func(flag string, others ...string) error {
		for _, other := range others {
			if _, ok := flags[other]; ok {
				return misuse("--%s and --%s exclude each other", flag, other)
			}
		}
		return nil
	}
	if f.remove {
		if err := exclude("remove", "username", "group", "replace"); err != nil {
			return err
		}
	}
	if f.roleARN != "" {
		if err := exclude("role-arn", "file", "stack"); err != nil {
			return err
		}
	}
	if len(f.clusters) == 0 {
		for _, name := range []string{"role-arn", "username", "group"} {
			if _, ok := flags[name]; ok {
				return misuse("no --cluster-name given")
			}
		}
	}
	return nil
}

// wantedMappings are complete: the clusters by the flags or by the file, the role
// by the flag or by the stack.
func (a *app) wantedMappings(cmd *cobra.Command, flags mapFlags, admin adminFlags) (client awsapi.Client, wanted []clusterMapping, err error) {
	for _, name := range flags.clusters {
		if err := ekstoken.CheckClusterName(name); err != nil {
			return client, nil, &usageError{err}
		}
		wanted = append(wanted, clusterMapping{name, provision.Mapping{RoleARN: flags.roleARN, Username: flags.username, Groups: flags.groups}})
	}
	if len(wanted) == 0 {
		if wanted, err = mappingsOfFile(a, cmd, flags.spec); err != nil {
			return client, nil, err
		}
	}
	if flags.roleARN == "" {
		return a.mappingsOfStack(cmd, wanted, flags, admin)
	}
	if err := a.completeMappings(wanted, flags.remove); err != nil {
		return client, nil, &usageError{err}
	}
	client, err = a.adminClient(cmd.Context(), admin)
	return client, wanted, err
}

// mappingsOfFile are those of its clusters that are still on aws-auth, without the
// role.
func mappingsOfFile(a *app, cmd *cobra.Command, flags specFlags) ([]clusterMapping, error) {
	s, err := flags.spec(cmd, a)
	if err != nil {
		return nil, err
	}
	var wanted []clusterMapping
	for _, c := range s.Clusters {
		if c.AWSAuth {
			wanted = append(wanted, clusterMapping{c.Name, provision.Mapping{Username: c.Username, Groups: c.Groups}})
		}
	}
	if len(wanted) == 0 {
		return nil, misuse("no cluster with awsAuth: true found; --cluster-name and --group do without a file")
	}
	return wanted, nil
}

func (a *app) mappingsOfStack(cmd *cobra.Command, wanted []clusterMapping, flags mapFlags, admin adminFlags) (awsapi.Client, []clusterMapping, error) {
	stack, state, err := a.existing(cmd.Context(), flags.spec, admin)
	if err != nil {
		return stack.Client, nil, err
	}
	for i := range wanted {
		if wanted[i].entry.RoleARN = state.Outputs[provision.OutputRole]; wanted[i].entry.RoleARN == "" {
			return stack.Client, nil, fmt.Errorf("stack %q has no output %s (its status is %s)", stack.Name, provision.OutputRole, state.Status)
		}
	}
	if err := a.completeMappings(wanted, flags.remove); err != nil {
		return stack.Client, nil, &usageError{err}
	}
	return stack.Client, wanted, nil
}

func (a *app) completeMappings(wanted []clusterMapping, remove bool) error {
	for i := range wanted {
		entry := &wanted[i].entry
		asGiven := entry.RoleARN
		if err := entry.Complete(); err != nil {
			return err
		}
		if i == 0 && entry.RoleARN != asGiven {
			a.notice("the role's path is left out, as clusters never hear of it: " + entry.RoleARN)
		}
		if slices.Contains(entry.Groups, "system:masters") && !remove {
			a.warn("the group system:masters may do everything in the cluster, and RBAC can't limit it")
		}
	}
	return nil
}

// noAWSAuthError: the cluster does not look at the ConfigMap.
type noAWSAuthError struct{ cluster string }

func (e *noAWSAuthError) Error() string {
	return fmt.Sprintf("cluster %q does not look at aws-auth: its authentication mode is API", e.cluster)
}

// awsAuthOf is the API server of a cluster that looks at aws-auth.
func (a *app) awsAuthOf(ctx context.Context, client awsapi.Client, name string) (awsapi.KubeAPI, error) {
	network, err := config.LoadNetwork(a.Getenv)
	if err != nil {
		return awsapi.KubeAPI{}, err
	}
	cluster, api, err := a.clusterAPI(ctx, network, client, name)
	if err == nil && cluster.AuthenticationMode == "API" {
		err = &noAWSAuthError{name}
	}
	return api, err
}

func (a *app) editAWSAuth(ctx context.Context, api awsapi.KubeAPI, w clusterMapping, flags mapFlags) (mappedCluster, error) {
	var before, after string
	var found, asked []provision.Mapping
	edit := func(text string) (string, error) {
		var err error
		before = text
		if flags.remove {
			after, found, err = provision.UnmapRole(text, w.entry.RoleARN)
		} else {
			after, found, err = provision.MapRole(text, w.entry, flags.replace)
		}
		if err != nil || flags.dryRun || after == before {
			return before, err
		}
		if flags.remove && !flags.yes && !slices.EqualFunc(found, asked, provision.Mapping.Equal) {
			err, asked = a.confirmUnmap(ctx, w.cluster, found), found
		}
		return after, err
	}
	changed, err := provision.EditMapRoles(ctx, api, wait, edit)
	if err != nil {
		return mappedCluster{}, err
	}
	switch {
	case !flags.dryRun || after == before:
		a.notice(told(w, found, changed, flags.remove))
	case flags.output == "json":
		changed = true // that is, it would be
	default:
		return mappedCluster{}, a.out.lines(provision.DiffMapRoles(before, after, w.cluster))
	}
	one := mappedCluster{Cluster: w.cluster, Changed: changed, Removed: append([]provision.Mapping{}, found...)}
	if !flags.remove {
		one.Mapping = &w.entry
	}
	return one, nil
}

func (a *app) confirmUnmap(ctx context.Context, cluster string, found []provision.Mapping) error {
	text := ""
	for _, m := range found {
		text += safetext.Line("aws-auth of cluster "+cluster+" maps "+m.String()) + "\n"
	}
	return a.confirm(ctx, text, "Take that out?")
}

func told(w clusterMapping, found []provision.Mapping, changed, remove bool) string {
	var all []string
	for _, m := range found {
		all = append(all, m.String())
	}
	switch {
	case !changed && remove:
		return fmt.Sprintf("aws-auth of cluster %s does not map %s: there is nothing to remove", w.cluster, w.entry.RoleARN)
	case !changed:
		return fmt.Sprintf("nothing to change in aws-auth of cluster %s", w.cluster)
	case remove:
		return fmt.Sprintf("aws-auth of cluster %s no longer maps %s", w.cluster, strings.Join(all, "; "))
	case len(all) > 0:
		return fmt.Sprintf("aws-auth of cluster %s now maps %s, and no longer %s", w.cluster, w.entry, strings.Join(all, "; "))
	}
	return fmt.Sprintf("aws-auth of cluster %s now maps %s", w.cluster, w.entry)
}
