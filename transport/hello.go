package transport

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Identity is who a process says it is when it opens a connection.
type Identity struct {
	Rank, Size int
	// Job and HostID have at most 255 bytes each.
	Job, HostID string
}

// Exchange moves whole messages of at most HelloMaxBytes over a fresh connection. The memory given
// to Send is valid until it returns, that of Recv until the next Recv. Deadlines are the driver's:
// both functions return an error when theirs has passed. StreamExchange makes one for a stream.
type Exchange struct {
	Send func(message []byte) error
	Recv func() ([]byte, error)
}

// The exchange, in messages of the format of hello_wire.go. Each end can refuse after any message
// it has received, and says why with a refusal, except to an end that does not speak the format.
//
//	dialer -> acceptor  hello    who I am, whom I want, whether I have a secret, my nonce
//	acceptor -> dialer  welcome  who I am, whether I have a secret, my nonce, proof(acceptor)
//	dialer -> acceptor  proof    proof(dialer)
//	acceptor -> dialer  ready    (empty)
//
// proof(role) is HMAC-SHA256 under the job's secret of the role's label and all that both ends
// said, both nonces included: it can't be replayed on another connection nor reflected to the end
// that made it. It binds the two ends of the connection, not the bytes that follow: who can
// rewrite packets on the way needs to be kept out by an encrypting driver. An end that answers
// shows a proof to strangers, so the secret has to be too long to guess (16 random bytes or more).
// Without a secret at both ends the proofs are empty and all other checks are the same.

// HelloDial runs the dialling end of the exchange: self has dialled what should be rank peer. It
// returns when the other end has agreed: frames may follow at once. The error is a *HelloError; it
// never shows the secret. The connection is of no use after an error.
func HelloDial(self Identity, peer int, secret []byte, x Exchange) (Identity, error) {
	if err := checkDial(self, peer); err != nil {
		return Identity{}, err
	}
	d := &dialogue{self: self, want: peer, claimed: -1, secret: secret, x: x}
	mine := d.introduction(peer)
	d.hear(helloMessage, mine)
	d.buffer = mine.append(d.buffer[:0], helloMessage)
	if err := d.send(); err != nil {
		return Identity{}, err
	}
	var theirs introduction
	if err := d.receive(welcomeMessage, &theirs); err != nil {
		return Identity{}, err
	}
	d.claimed = int(theirs.rank)
	if err := d.checkIntroduction(&theirs); err != nil {
		return Identity{}, d.refuse(err)
	}
	d.hear(welcomeMessage, theirs)
	if !hmac.Equal(theirs.proof, d.proof(acceptorLabel)) {
		return Identity{}, d.refuse(&HelloError{Reason: HelloWrongSecret})
	}
	d.buffer = appendProof(d.buffer[:0], d.proof(dialerLabel))
	if err := d.send(); err != nil {
		return Identity{}, err
	}
	if err := d.receive(readyMessage, nil); err != nil {
		return Identity{}, err
	}
	return theirs.identity(), nil
}

// HelloAccept runs the accepting end of the exchange and returns who has connected. It returns
// when the other end may send frames. The error is a *HelloError, as that of HelloDial.
func HelloAccept(self Identity, secret []byte, x Exchange) (Identity, error) {
	if err := checkSelf(self); err != nil {
		return Identity{}, err
	}
	d := &dialogue{self: self, want: -1, claimed: -1, secret: secret, x: x}
	var theirs introduction
	if err := d.receive(helloMessage, &theirs); err != nil {
		return Identity{}, err
	}
	d.claimed = int(theirs.rank)
	if err := d.checkIntroduction(&theirs); err != nil {
		return Identity{}, d.refuse(err)
	}
	d.hear(helloMessage, theirs)
	mine := d.introduction(int(theirs.rank))
	d.hear(welcomeMessage, mine)
	mine.proof = d.proof(acceptorLabel)
	d.buffer = mine.append(d.buffer[:0], welcomeMessage)
	if err := d.send(); err != nil {
		return Identity{}, err
	}
	var answer introduction
	if err := d.receive(proofMessage, &answer); err != nil {
		return Identity{}, err
	}
	if !hmac.Equal(answer.proof, d.proof(dialerLabel)) {
		return Identity{}, d.refuse(&HelloError{Reason: HelloWrongSecret})
	}
	d.buffer = appendPrefix(d.buffer[:0], readyMessage, 0)
	if err := d.send(); err != nil {
		return Identity{}, err
	}
	return theirs.identity(), nil
}

const (
	acceptorLabel = "tutti hello 1 acceptor\x00"
	dialerLabel   = "tutti hello 1 dialer\x00"
)

// dialogue is one end of one exchange.
type dialogue struct {
	self       Identity
	want       int // the rank dialled, -1 when accepting
	claimed    int // the rank that the other end says it is, -1 before it has
	secret     []byte
	x          Exchange
	buffer     []byte // the message under way
	transcript []byte // what both ends said of themselves, without the proofs
}

func (d *dialogue) introduction(peer int) introduction {
	i := introduction{
		secret: len(d.secret) > 0, rank: uint32(d.self.Rank), size: uint32(d.self.Size),
		peer: uint32(peer), job: d.self.Job, host: d.self.HostID,
	}
	rand.Read(i.nonce[:]) // never fails: it ends the process instead
	return i
}

// hear adds what an end said of itself, its proof apart, to the transcript. Both ends hear the
// hello first, then the welcome.
func (d *dialogue) hear(kind messageType, i introduction) {
	i.proof = nil
	d.transcript = i.append(d.transcript, kind)
}

func (d *dialogue) proof(label string) []byte {
	if len(d.secret) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, d.secret)
	mac.Write([]byte(label))
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], uint32(len(d.transcript)))
	mac.Write(n[:])
	mac.Write(d.transcript)
	return mac.Sum(nil)
}

func (d *dialogue) send() error {
	if err := d.x.Send(d.buffer); err != nil {
		return d.named(&HelloError{Reason: HelloBroken, Err: err})
	}
	return nil
}

// receive reads the message that the exchange has come to. A refusal of the other end is an error
// and so is all else.
func (d *dialogue) receive(want messageType, into *introduction) error {
	message, err := d.x.Recv()
	if err != nil {
		return d.named(&HelloError{Reason: HelloBroken, Err: err})
	}
	if refusal := decodeMessage(message, want, into); refusal != nil {
		if refusal.Refused || refusal.Reason == HelloGarbage {
			return d.named(refusal)
		}
		return d.refuse(refusal)
	}
	return nil
}

// refuse tells the other end why, as far as it may know, and returns why.
func (d *dialogue) refuse(why *HelloError) error {
	d.buffer = appendRefusal(d.buffer[:0], why, d.self.Rank)
	if err := d.x.Send(d.buffer); err != nil {
		why.Err = fmt.Errorf("and the other end could not be told: %w", err)
	}
	return d.named(why)
}

func (d *dialogue) named(e *HelloError) *HelloError {
	e.Peer = d.want
	if e.Peer < 0 {
		e.Peer = d.claimed
	}
	return e
}

// checkIntroduction compares what the other end says with what this end knows.
func (d *dialogue) checkIntroduction(i *introduction) *HelloError {
	differ := func(r HelloReason, here, there any) *HelloError {
		return &HelloError{Reason: r, Here: fmt.Sprint(here), There: fmt.Sprint(there)}
	}
	self := &d.self
	switch {
	case i.job != self.Job:
		return &HelloError{
			Reason: HelloJob, Here: fmt.Sprintf("%q", self.Job), There: fmt.Sprintf("%q", i.job),
		}
	case i.secret && len(d.secret) == 0:
		return &HelloError{Reason: HelloSecretThere}
	case !i.secret && len(d.secret) > 0:
		return &HelloError{Reason: HelloSecretHere}
	case int64(i.size) != int64(self.Size):
		return differ(HelloSize, self.Size, i.size)
	case i.rank >= i.size:
		return differ(HelloRange, fmt.Sprint("0 to ", self.Size-1), i.rank)
	case int64(i.peer) != int64(self.Rank):
		return differ(HelloTarget, self.Rank, i.peer)
	case int64(i.rank) == int64(self.Rank):
		return differ(HelloSelf, self.Rank, i.rank)
	case d.want >= 0 && int64(i.rank) != int64(d.want):
		return differ(HelloTarget, i.rank, d.want)
	}
	return nil
}

// checkSelf checks what this process says of itself, before it says it.
func checkSelf(self Identity) *HelloError {
	bad := func(r HelloReason, what string, got any) *HelloError {
		return &HelloError{Reason: r, Peer: -1, Here: fmt.Sprint(what, " ", got)}
	}
	switch {
	case self.Size <= 0 || self.Size > 1<<31-1:
		return bad(HelloSize, "a size of", self.Size)
	case self.Rank < 0 || self.Rank >= self.Size:
		return bad(HelloRange, "the own rank", self.Rank)
	case len(self.Job) > maxName:
		return bad(HelloMalformed, "a job's name of so many bytes:", len(self.Job))
	case len(self.HostID) > maxName:
		return bad(HelloMalformed, "a host's id of so many bytes:", len(self.HostID))
	}
	return nil
}

func checkDial(self Identity, peer int) *HelloError {
	if err := checkSelf(self); err != nil {
		return err
	}
	switch {
	case peer < 0 || peer >= self.Size:
		return &HelloError{Reason: HelloRange, Peer: peer, Here: fmt.Sprint("rank ", peer, " to dial")}
	case peer == self.Rank:
		return &HelloError{Reason: HelloSelf, Peer: peer, Here: fmt.Sprint("rank ", peer, " to dial")}
	}
	return nil
}
