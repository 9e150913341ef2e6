package audit

import (
	"encoding/binary"
	"time"
)

// noTime stands for a time that is not known. It is before all that date returns,
// and near enough to them that differences do not overflow.
const noTime = -1 << 60

// nanos is a time that an event tells: date lets none through that does not fit.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixNano()
}

// appendOrder appends a number so that bytes compare as numbers do.
func appendOrder(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)^1<<63) } //nolint:gosec // the order of the bits is what matters

// keyed is a record for a sorter: what it is sorted by, and the rest.
func keyed(key, rest []byte) []byte {
	n := len(key)
	return binary.BigEndian.AppendUint32(append(key, rest...), uint32(n)) //nolint:gosec // texts are cut
}

// unkeyed is the reverse of keyed.
func unkeyed(r record) (key, rest []byte) {
	end := len(r) - 4
	n := binary.BigEndian.Uint32(r[end:])
	return r[:n], r[n:end]
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// appendTime keeps any time, as those of certificates may be.
func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond())) //nolint:gosec // 0 to 999,999,999
}

// decoder reads what was appended. The texts share one string.
type decoder struct {
	b    []byte
	text string // the same
}

func decode(b []byte) *decoder { return &decoder{b, string(b)} }

func (d *decoder) skip(n int) { d.b, d.text = d.b[n:], d.text[n:] }

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) string() string {
	n := int(d.uint()) //nolint:gosec // we wrote it
	s := d.text[:n]
	d.skip(n)
	return s
}

func (d *decoder) strings() (list []string) {
	for range d.uint() {
		list = append(list, d.string())
	}
	return list
}

func (d *decoder) time() time.Time {
	seconds := d.int()
	return time.Unix(seconds, int64(d.uint())).UTC() //nolint:gosec // we wrote it
}

func appendCertificate(b []byte, c *Certificate) []byte {
	b = appendText(appendText(appendText(b, c.Subject), c.Issuer), c.Serial)
	return appendTime(appendTime(b, c.NotBefore), c.NotAfter)
}

func (d *decoder) certificate() Certificate {
	return Certificate{d.string(), d.string(), d.string(), d.time(), d.time()}
}

// texts are the strings of a session besides its certificate's.
func (s *Session) texts() [13]*string {
	return [13]*string{&s.AccessKeyID, &s.AssumedRoleARN, &s.RoleARN, &s.Name, &s.SourceIdentity, &s.Parent, &s.TrustAnchorARN, &s.ProfileARN, &s.SourceIP, &s.UserAgent, &s.Region, &s.EventID, &s.Began}
}

func appendSession(b []byte, s *Session) []byte {
	for _, text := range s.texts() {
		b = appendText(b, *text)
	}
	b = appendCertificate(b, &s.Certificate)
	for _, t := range [...]time.Time{s.From, s.To, s.First, s.Last} {
		b = appendTime(b, t)
	}
	flags := uint64(0)
	if s.Unknown {
		flags |= 1
	}
	if s.Component {
		flags |= 2
	}
	b = binary.AppendVarint(binary.AppendVarint(binary.AppendUvarint(b, flags), s.Actions), s.Denied)
	return appendTexts(appendTexts(b, s.Users), s.Addresses)
}

func (d *decoder) session() *Session {
	s := &Session{}
	for _, text := range s.texts() {
		*text = d.string()
	}
	s.Certificate = d.certificate()
	s.From, s.To, s.First, s.Last = d.time(), d.time(), d.time(), d.time()
	flags := d.uint()
	s.Unknown, s.Component = flags&1 != 0, flags&2 != 0
	s.Actions, s.Denied = d.int(), d.int()
	s.Users, s.Addresses = d.strings(), d.strings()
	return s
}

func appendSubject(b []byte, s *Subject) []byte {
	flags := uint64(0)
	if s.Unknown {
		flags |= 1
	}
	if s.NoCertificate {
		flags |= 2
	}
	b = appendTexts(appendCertificate(binary.AppendUvarint(b, flags), &s.Certificate), s.Roles)
	for _, n := range [...]int64{s.Sessions, s.Refused, s.Actions, s.Denied} {
		b = binary.AppendVarint(b, n)
	}
	return appendTime(appendTime(b, s.First), s.Last)
}

func (d *decoder) subject() *Subject {
	flags := d.uint()
	return &Subject{Unknown: flags&1 != 0, NoCertificate: flags&2 != 0, Certificate: d.certificate(), Roles: d.strings(), Sessions: d.int(), Refused: d.int(), Actions: d.int(), Denied: d.int(), First: d.time(), Last: d.time()}
}

func appendFinding(b []byte, f *Finding) []byte {
	for _, text := range [...]string{f.Kind, f.Detail, f.Serial, f.Subject} {
		b = appendText(b, text)
	}
	return appendTime(appendTexts(b, f.AccessKeyIDs), f.Time)
}

func (d *decoder) finding() Finding {
	return Finding{d.string(), d.string(), d.string(), d.string(), d.strings(), d.time()}
}
