package audit

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// For random sessions and actions, shuffled, copied and split over files of all
// forms, the joined set is that of a join that looks at all of each.
func TestJoinProperty(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		g := rand.New(rand.NewPCG(seed, 7))
		w := world(g)
		trail, cluster := w.logs(t, g)
		r := audit(t, trail, cluster, Options{Workers: 1 + g.IntN(4), memory: 1 + g.IntN(4000), block: 64 + g.IntN(3000)})
		got := joined(t, r)
		want := w.naive()
		if len(got) != len(want) {
			t.Errorf("seed %d: %d actions, want %d", seed, len(got), len(want))
		}
		for id, session := range want {
			if got[id] != session {
				t.Errorf("seed %d: %s is %q, want %q", seed, id, got[id], session)
			}
		}
		// The order is that of time; a timeline has each action once, in that order.
		last, n := time.Time{}, 0
		for a := range r.ByTime() {
			if a.Time.Before(last) {
				t.Errorf("seed %d: %s is out of order", seed, a.ID)
			}
			last = a.Time
		}
		for _, row := range timeline(t, r) {
			if int64(len(row.Actions)) != row.Session.Actions {
				t.Errorf("seed %d: %d actions of %d", seed, len(row.Actions), row.Session.Actions)
			}
			if !slices.IsSortedFunc(row.Actions, func(a, b Action) int { return a.Time.Compare(b.Time) }) {
				t.Errorf("seed %d: a timeline is out of order", seed)
			}
			n += len(row.Actions)
		}
		if n != len(want) || r.Counts.Damaged != 0 {
			t.Errorf("seed %d: %d actions in timelines, want %d; damage %v", seed, n, len(want), r.Damage)
		}
	}
}

type madeSession struct {
	event, key, parent, arn string
	from, to                time.Time
}

type madeAction struct {
	id, key, arn string
	at           time.Time
}

type madeWorld struct {
	sessions []madeSession
	actions  []madeAction
}

func world(g *rand.Rand) (w madeWorld) {
	for i := range 2 + g.IntN(30) {
		s := madeSession{event: fmt.Sprint("e", i), key: fmt.Sprintf("ASIA%d", i), from: at(g.IntN(600))}
		s.to = s.from.Add(time.Hour)
		if i > 0 && g.IntN(3) == 0 {
			s.parent = fmt.Sprintf("ASIA%d", g.IntN(i+3)) // it may be of nobody, or not ours
		}
		s.arn = devARN + fmt.Sprintf("0%d", g.IntN(8))
		if s.parent != "" {
			s.arn = "arn:aws:sts::123456789012:assumed-role/Cluster/" + fmt.Sprint("c", g.IntN(4))
		}
		w.sessions = append(w.sessions, s)
	}
	for i := range 5 + g.IntN(200) {
		s := w.sessions[g.IntN(len(w.sessions))]
		a := madeAction{id: fmt.Sprintf("%08x-1111-4111-8111-111111111111", i), at: s.from.Add(time.Duration(g.IntN(100)-10) * time.Minute).Add(time.Duration(i) * time.Microsecond)}
		switch g.IntN(4) {
		case 0:
			a.arn = s.arn
		case 1:
			a.key, a.arn = fmt.Sprintf("ASIA%d", g.IntN(len(w.sessions)+3)), s.arn
		default:
			a.key, a.arn = s.key, s.arn
		}
		w.actions = append(w.actions, a)
	}
	return w
}

// ours are the sessions that a chain leads to from a CreateSession.
func (w madeWorld) ours() (list []madeSession) {
	mine := map[string]bool{}
	for range w.sessions {
		for _, s := range w.sessions {
			mine[s.key] = mine[s.key] || s.parent == "" || mine[s.parent]
		}
	}
	for _, s := range w.sessions {
		if mine[s.key] {
			list = append(list, s)
		}
	}
	return list
}

func (w madeWorld) naive() map[string]string {
	found := map[string]string{}
	for _, a := range w.actions {
		var of, early *madeSession
		by := ByNothing
		for _, s := range w.ours() {
			switch {
			case a.key != "":
				if a.key == s.key {
					of, by = &s, ByAccessKey
				}
			case s.arn != a.arn || a.at.After(s.to.Add(20*time.Minute)):
			case !s.from.After(a.at):
				if of == nil || !s.from.Before(of.from) && (s.from.After(of.from) || s.key > of.key) {
					of, by = &s, ByARN
				}
			case !s.from.After(a.at.Add(5 * time.Minute)):
				if early == nil || s.from.Before(early.from) || s.from.Equal(early.from) && s.key < early.key {
					early = &s
				}
			}
		}
		if of == nil && early != nil {
			of, by = early, ByARN
		}
		if of == nil {
			found[a.id] = "unknown " + cmp.Or(a.key, a.arn) + " none"
			continue
		}
		found[a.id] = of.event + " " + string(by)
	}
	return found
}

// logs are both, shuffled, with copies, over files in several forms.
func (w madeWorld) logs(t *testing.T, g *rand.Rand) (trail, cluster []Input) {
	var events, actions []m
	for _, s := range w.sessions {
		e := created(s.key, nameOf(s.arn), "x", s.from, nil)
		if s.parent != "" {
			e = assumed(s.key, s.parent, nameOf(s.arn), s.from)
		}
		e["eventID"] = s.event
		events = append(events, e)
	}
	for _, a := range w.actions {
		for _, stage := range []string{"RequestReceived", "ResponseStarted", "ResponseComplete"} {
			if stage == "ResponseComplete" || g.IntN(3) == 0 {
				actions = append(actions, did(a.id, a.key, a.arn, "", a.at, func(e m) { e["stage"] = stage }))
			}
		}
	}
	for range g.IntN(5) {
		actions = append(actions, did(fmt.Sprint("other", g.Uint64()), "", "", "", at(1), nil))
	}
	return scatter(t, g, events, "Records"), scatter(t, g, actions, "items")
}

func scatter(t *testing.T, g *rand.Rand, events []m, wrapper string) []Input {
	for range g.IntN(len(events) + 1) {
		events = append(events, events[g.IntN(len(events))])
	}
	g.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	var files []string
	for len(events) > 0 {
		n := 1 + g.IntN(len(events))
		part := events[:n]
		events = events[n:]
		var text string
		switch g.IntN(4) {
		case 0:
			text = encode(t, m{wrapper: part})
		case 1:
			text = indent(t, encode(t, m{wrapper: part}))
		default:
			text = lines(t, part...)
		}
		if g.IntN(2) == 0 {
			cut := g.IntN(len(text))
			text = zip(text[:cut]) + zip(text[cut:])
		}
		files = append(files, text)
	}
	return log(files...)
}
