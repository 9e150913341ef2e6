package audit

// sessionSorter sorts the sessions of CloudTrail by From, and then by what makes
// the order one. It gives them as often as it is asked.
type sessionSorter struct {
	sorter
	wholes
	n int32
}

func (x *sessionSorter) put(s *Session) error {
	x.n++
	x.want(&s.Certificate)
	key := appendOrder(nil, nanos(s.From))
	for _, text := range [...]string{s.AccessKeyID, s.EventID, s.AssumedRoleARN} {
		key = append(append(key, text...), 0)
	}
	return x.sorter.put(keyed(key, appendSession(make([]byte, 0, 1<<10), s)))
}

// finish sorts what was put, and completes the certificates of these sessions and
// of the calls that AWS refused.
func (x *sessionSorter) finish(refused *store) error {
	if err := x.flush(); err != nil {
		return err
	}
	for record, err := range refused.all() {
		if err != nil {
			return err
		}
		x.want(&decode(record).session().Certificate)
	}
	if len(x.wanted) == 0 {
		return nil
	}
	for record, err := range refused.all() {
		if err != nil {
			return err
		}
		if err := x.found(&decode(record).session().Certificate); err != nil {
			return err
		}
	}
	return x.each(func(_ int32, s *Session) error { return x.found(&s.Certificate) })
}

// each gives the sessions in order.
func (x *sessionSorter) each(do func(i int32, s *Session) error) error {
	i := int32(0)
	for record, err := range inOrder(&x.sorter) {
		if err != nil {
			return err
		}
		_, rest := unkeyed(record)
		s := decode(rest).session()
		if err := x.complete(&s.Certificate); err != nil {
			return err
		}
		if err := do(i, s); err != nil {
			return err
		}
		i++
	}
	return nil
}

// wholes complete what is known of a certificate from another event that has it
// whole: by the hash of the serial number.
type wholes struct {
	wanted  map[hash]whole
	records *store
	reader  storeReader
	held    *held
}

// whole is where a certificate is.
type whole struct {
	certificate hash
	at          int64 // -1: there are two
}

func newWholes(o Options, h *held) wholes {
	records := newStore(o)
	return wholes{map[hash]whole{}, records, storeReader{store: records}, h}
}

func (w *wholes) want(c *Certificate) {
	if c.Issuer != "" || c.Serial == "" {
		return
	}
	serial := hashOf(c.Serial)
	if _, ok := w.wanted[serial]; !ok {
		w.held.take(wantedCost)
		w.wanted[serial] = whole{}
	}
}

// found takes a certificate that may be whole.
func (w *wholes) found(c *Certificate) (err error) {
	if c.Issuer == "" {
		return nil
	}
	serial := hashOf(c.Serial)
	known, ok := w.wanted[serial]
	if !ok || known.at < 0 {
		return nil
	}
	record := appendCertificate(nil, c)
	this := whole{certificate: hashOf(string(record))}
	switch known.certificate {
	case hash{}:
		if this.at, err = w.records.append(record); err != nil {
			return err
		}
	case this.certificate:
		return nil
	default:
		this.at = -1
	}
	w.wanted[serial] = this
	return nil
}

func (w *wholes) complete(c *Certificate) error {
	if c.Issuer != "" || c.Serial == "" || len(w.wanted) == 0 {
		return nil
	}
	known := w.wanted[hashOf(c.Serial)]
	if known.at < 0 || known.certificate == (hash{}) {
		return nil
	}
	record, err := w.reader.at(known.at)
	if err == nil {
		*c = decode(record).certificate()
	}
	return err
}
