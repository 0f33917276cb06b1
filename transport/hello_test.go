package transport

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// meeting is one exchange of two ends over a pipe.
type meeting struct {
	dialer, acceptor             Identity
	wanted                       int
	dialerSecret, acceptorSecret []byte
}

type outcome struct {
	identity Identity
	err      error
}

func (m *meeting) run() (dialed, accepted outcome) {
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		accepted.identity, accepted.err = HelloAccept(m.acceptor, m.acceptorSecret, StreamExchange(b))
	}()
	dialed.identity, dialed.err = HelloDial(m.dialer, m.wanted, m.dialerSecret, StreamExchange(a))
	a.Close()
	<-done
	return dialed, accepted
}

func friends() *meeting {
	return &meeting{
		dialer:   Identity{Rank: 2, Size: 4, Job: "train", HostID: "host-a"},
		acceptor: Identity{Rank: 1, Size: 4, Job: "train", HostID: "host-b"},
		wanted:   1,
	}
}

func TestHelloAgrees(t *testing.T) {
	for _, secret := range []string{"", "a secret of the job, long enough"} {
		m := friends()
		m.dialerSecret, m.acceptorSecret = []byte(secret), []byte(secret)
		dialed, accepted := m.run()
		if dialed.err != nil || accepted.err != nil {
			t.Fatalf("secret %q: dialer: %v, acceptor: %v", secret, dialed.err, accepted.err)
		}
		if diff := cmp.Diff(m.acceptor, dialed.identity); diff != "" {
			t.Errorf("the dialer met (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(m.dialer, accepted.identity); diff != "" {
			t.Errorf("the acceptor met (-want +got)\n%s", diff)
		}
	}
}

func TestHelloRefuses(t *testing.T) {
	const secret, other = "correct horse battery", "wrong horse battery"
	for _, c := range []struct {
		name             string
		change           func(*meeting)
		dialer, acceptor HelloReason
		refusedAtDialer  bool // else the dialer noticed
		says             string
	}{
		{
			"job", func(m *meeting) { m.dialer.Job = "another" },
			HelloJob, HelloJob, true, `belongs to job "another", this end to "train"`,
		},
		{
			"secret here only", func(m *meeting) { m.acceptorSecret = []byte(secret) },
			HelloSecretHere, HelloSecretHere, true, "this end has a secret",
		},
		{
			"secret there only", func(m *meeting) { m.dialerSecret = []byte(secret) },
			HelloSecretThere, HelloSecretThere, true, "the other end has a secret",
		},
		{
			"wrong secret", func(m *meeting) {
				m.dialerSecret, m.acceptorSecret = []byte(secret), []byte(other)
			},
			HelloWrongSecret, HelloWrongSecret, false, "rank 2 has another secret",
		},
		{
			"size", func(m *meeting) { m.dialer.Size = 8 },
			HelloSize, HelloSize, true, "counts 8 ranks, this end 4",
		},
		{
			"target", func(m *meeting) { m.wanted = 3 },
			HelloTarget, HelloTarget, true, "rank 1 was reached instead of rank 3",
		},
		{
			"self", func(m *meeting) { m.acceptor.Rank, m.wanted, m.dialer.Rank = 2, 2, 2 },
			HelloSelf, 0, false, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := friends()
			c.change(m)
			dialed, accepted := m.run()
			checkHello(t, "dialer", dialed.err, c.dialer, c.refusedAtDialer)
			if c.acceptor == 0 {
				return
			}
			e := checkHello(t, "acceptor", accepted.err, c.acceptor, !c.refusedAtDialer)
			if !strings.Contains(e.Error(), c.says) || e.Peer != m.dialer.Rank {
				t.Errorf("the acceptor's error names rank %d: %q, want %q", e.Peer, e, c.says)
			}
			said := dialed.err.Error() + accepted.err.Error()
			if strings.Contains(said, secret) || strings.Contains(said, other) {
				t.Errorf("the errors show the secret: %s", said)
			}
		})
	}
}

func checkHello(t *testing.T, who string, err error, want HelloReason, refused bool) *HelloError {
	t.Helper()
	var e *HelloError
	if !errors.As(err, &e) {
		t.Fatalf("%s: %v is no *HelloError", who, err)
	}
	if e.Reason != want || e.Refused != refused {
		t.Errorf("%s: reason %d, refused %v; want %d, %v: %v", who, e.Reason, e.Refused, want, refused, e)
	}
	if e.Remedy() == "" {
		t.Errorf("%s: no remedy for %v", who, e)
	}
	return e
}

func TestHelloRefusesItself(t *testing.T) {
	long := strings.Repeat("x", maxName+1)
	for _, c := range []struct {
		self Identity
		peer int
	}{
		{Identity{Rank: 0, Size: 0}, 0},
		{Identity{Rank: 4, Size: 4}, 0},
		{Identity{Rank: -1, Size: 4}, 0},
		{Identity{Rank: 1, Size: 4}, 4},
		{Identity{Rank: 1, Size: 4}, -1},
		{Identity{Rank: 1, Size: 4}, 1},
		{Identity{Rank: 1, Size: 4, Job: long}, 0},
		{Identity{Rank: 1, Size: 4, HostID: long}, 0},
	} {
		_, err := HelloDial(c.self, c.peer, nil, Exchange{})
		var e *HelloError
		if !errors.As(err, &e) || !strings.Contains(e.Error(), "not possible") {
			t.Errorf("%+v dials %d: %v", c.self, c.peer, err)
		}
	}
}

// script is an Exchange that answers from a list and keeps what was sent.
type script struct {
	answers [][]byte
	sent    [][]byte
}

func (s *script) exchange() Exchange {
	return Exchange{
		Send: func(b []byte) error {
			s.sent = append(s.sent, append([]byte(nil), b...))
			return nil
		},
		Recv: func() ([]byte, error) {
			if len(s.answers) == 0 {
				return nil, net.ErrClosed
			}
			b := s.answers[0]
			s.answers = s.answers[1:]
			return b, nil
		},
	}
}

func goodHello() *introduction {
	return &introduction{rank: 2, size: 4, peer: 1, job: "train", host: "host-a"}
}

func TestHelloAcceptsNoRubbish(t *testing.T) {
	self := friends().acceptor
	good := goodHello().append(nil, helloMessage)
	changed := func(at int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = to
		return b
	}
	outOfRange := goodHello()
	outOfRange.rank = 1 << 31
	proved := goodHello()
	proved.secret, proved.proof = true, make([]byte, proofBytes)
	for _, c := range []struct {
		name    string
		message []byte
		want    HelloReason
		told    bool
	}{
		{"nothing", nil, HelloGarbage, false},
		{"http", []byte("GET / HTTP/1.1\r\n\r\n"), HelloGarbage, false},
		{"version", changed(4, Version+1), HelloVersion, true},
		{"type", changed(5, byte(welcomeMessage)), HelloMalformed, true},
		{"length", changed(6, 255), HelloMalformed, true},
		{"oversized", changed(7, 255), HelloMalformed, true},
		{"cut prefix", good[:6], HelloMalformed, true},
		{"cut", good[:len(good)-1], HelloMalformed, true},
		{"trailing", append(append([]byte(nil), good...), 0), HelloMalformed, true},
		{"secret mark", changed(8, 2), HelloMalformed, true},
		{"early proof", proved.append(nil, helloMessage), HelloMalformed, true},
		{"job's length", changed(10, 200), HelloMalformed, true},
		{"rank", outOfRange.append(nil, helloMessage), HelloRange, true},
		{"same rank", changed(12, 1), HelloSelf, true},
		{"end", good, HelloBroken, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &script{answers: [][]byte{c.message}}
			_, err := HelloAccept(self, nil, s.exchange())
			checkHello(t, "acceptor", err, c.want, false)
			if c.told != (len(s.sent) == 1) {
				t.Fatalf("%d messages were sent", len(s.sent))
			}
			for _, b := range s.sent {
				if len(b) > HelloMaxBytes {
					t.Errorf("a message of %d bytes", len(b))
				}
			}
			if c.told && c.want != HelloBroken {
				refusal := decodeMessage(s.sent[0], proofMessage, nil)
				checkHello(t, "told", refusal, c.want, true)
			}
		})
	}
}

// A proof can't be sent back to the end that made it, nor used on another connection.
func TestHelloProofsAreOfOneUse(t *testing.T) {
	secret := []byte("a secret of the job, long enough")
	m := friends()
	d := &dialogue{self: m.dialer, secret: secret}
	mine := d.introduction(1)
	mine.secret = true
	var seen []byte
	s := &script{answers: [][]byte{mine.append(nil, helloMessage)}}
	x := s.exchange()
	receive := x.Recv
	x.Recv = func() ([]byte, error) {
		if len(s.sent) == 0 {
			return receive()
		}
		var welcome introduction
		if e := decodeMessage(s.sent[0], welcomeMessage, &welcome); e != nil {
			return nil, e
		}
		seen = welcome.proof
		return appendProof(nil, seen), nil
	}
	_, err := HelloAccept(m.acceptor, secret, x)
	checkHello(t, "acceptor", err, HelloWrongSecret, false)
	if len(seen) != proofBytes {
		t.Fatalf("the welcome had a proof of %d bytes", len(seen))
	}

	replay := &script{answers: [][]byte{
		mine.append(nil, helloMessage), appendProof(nil, d.proof(dialerLabel)),
	}}
	_, err = HelloAccept(m.acceptor, secret, replay.exchange())
	checkHello(t, "acceptor", err, HelloWrongSecret, false)
}

func drawIntroduction(t *rapid.T) introduction {
	name := rapid.StringN(0, 40, maxName)
	i := introduction{
		secret: rapid.Bool().Draw(t, "secret"),
		rank:   rapid.Uint32().Draw(t, "rank"),
		size:   rapid.Uint32().Draw(t, "size"),
		peer:   rapid.Uint32().Draw(t, "peer"),
		job:    name.Draw(t, "job"),
		host:   name.Draw(t, "host"),
	}
	copy(i.nonce[:], rapid.SliceOfN(rapid.Byte(), nonceBytes, nonceBytes).Draw(t, "nonce"))
	if i.secret {
		i.proof = rapid.SliceOfN(rapid.Byte(), proofBytes, proofBytes).Draw(t, "proof")
	}
	return i
}

func TestHelloRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntroduction(t)
		b := i.append(nil, welcomeMessage)
		if len(b) > HelloMaxBytes {
			t.Fatalf("%d bytes", len(b))
		}
		var back introduction
		if err := decodeMessage(b, welcomeMessage, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, back.append(nil, welcomeMessage)); diff != "" {
			t.Fatalf("decoded and encoded again (-want +got)\n%s", diff)
		}
	})
}

// FuzzHello feeds both ends with anything: what decodes must encode to the same bytes, nothing is
// accepted that proves no secret, and no error shows the secret.
func FuzzHello(f *testing.F) {
	welcome := &introduction{
		secret: true, rank: 1, size: 4, peer: 2, job: "train", proof: make([]byte, proofBytes),
	}
	f.Add(goodHello().append(nil, helloMessage), appendProof(nil, make([]byte, proofBytes)))
	f.Add(welcome.append(nil, welcomeMessage), appendPrefix(nil, readyMessage, 0))
	f.Add(appendRefusal(nil, &HelloError{Reason: HelloJob}, 3), []byte{})
	f.Add([]byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"), []byte("TUTH\x01\x01\xff\xff"))
	const secret = "0123456789abcdef-secret"
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, kind := range []messageType{helloMessage, welcomeMessage, proofMessage, readyMessage} {
			var i introduction
			if e := decodeMessage(first, kind, &i); e != nil {
				continue
			}
			if kind <= welcomeMessage && string(i.append(nil, kind)) != string(first) {
				t.Fatalf("%q does not encode to itself", first)
			}
		}
		m := friends()
		for _, end := range []func(Exchange) error{
			func(x Exchange) error {
				_, err := HelloAccept(m.acceptor, []byte(secret), x)
				return err
			},
			func(x Exchange) error {
				_, err := HelloDial(m.dialer, m.wanted, []byte(secret), x)
				return err
			},
		} {
			s := &script{answers: [][]byte{first, second}}
			err := end(s.exchange())
			var e *HelloError
			if !errors.As(err, &e) || strings.Contains(e.Error(), secret) {
				t.Fatalf("%v", err)
			}
			for _, b := range s.sent {
				if len(b) > HelloMaxBytes || strings.Contains(string(b), secret) {
					t.Fatalf("sent %q", b)
				}
			}
		}
	})
}
