package proxy

import (
	"fmt"

	"github.com/google/uuid"
)

// ID is a UUID, of a session or of a message.
type ID = uuid.UUID

// SessionType tells what a message asks of its receiver.
type SessionType uint8

const (
	// Plain asks for nothing: the message is kept until the other application has received it.
	Plain SessionType = iota
	// Task asks for work: the message is kept, and sent again to a restarted peer, until the other
	// application has replied.
	Task
	// Notification asks to be received; the proxies themselves say that it was.
	Notification
	sessionTypes
)

var sessionTypeNames = [sessionTypes]string{"plain", "task", "notification"}

func (t SessionType) String() string {
	if t < sessionTypes {
		return sessionTypeNames[t]
	}
	return fmt.Sprintf("session type(%d)", uint8(t))
}

// Stage is how far a session has come with one peer. A task goes from TaskRequest to TaskReceive,
// when the peer's application takes the message, to TaskComplete, when it replies; a notification
// from NotificationRequest to NotificationReceive. The proxies keep the stages.
type Stage uint8

// The stages. Those of plain messages are NoStage.
const (
	NoStage Stage = iota
	TaskRequest
	TaskReceive
	TaskComplete
	NotificationRequest
	NotificationReceive
	stages
)

var stageNames = [stages]string{
	"", "task_request", "task_receive", "task_complete", "notification_request",
	"notification_receive",
}

func (s Stage) String() string {
	if s < stages {
		return stageNames[s]
	}
	return fmt.Sprintf("stage(%d)", uint8(s))
}

// of says whether a message of the type can be in the stage.
func (s Stage) of(t SessionType) bool {
	switch t {
	case Plain:
		return s == NoStage
	case Task:
		return s >= TaskRequest && s <= TaskComplete
	case Notification:
		return s == NotificationRequest || s == NotificationReceive
	}
	return false
}

// request is the first stage of a session of the type.
func (t SessionType) request() Stage {
	switch t {
	case Task:
		return TaskRequest
	case Notification:
		return NotificationRequest
	}
	return NoStage
}

// Message is what components send each other. To send one, set Tag, Destination and what else is
// wanted: NewMessage and NewSessionMessage do. The proxy sends a copy and changes nothing in it.
//
// Bodies are nil, strings, []byte, slices of integers and floats of fixed size, and whatever else
// CBOR can express. Slices are not copied: a sender leaves their elements alone until the message
// is settled, that is, a task is complete, or another message received (Session.Done tells). A
// receiver owns the body of what it has received: see Decode. It may give the memory back: see
// Message.Release.
type Message struct {
	// Tag is what a receiver's events match, at most MaxTagBytes bytes.
	Tag string
	// Source and Destination are names of components. That of a broadcast is the type of its
	// receivers. A sender's Source is filled in by its proxy, and checked by the receiver's.
	Source, Destination string
	// SourceType is the type of the source.
	SourceType string
	Body       any
	// SessionID is the same in a message and in the replies to it. A zero one is replaced by a new
	// one when the message is sent.
	SessionID ID
	// MessageID is new for every message sent.
	MessageID   ID
	SessionType SessionType
	Stage       Stage

	inbound *inbound // of a message received
}

// MaxTagBytes is the longest tag, in bytes.
const MaxTagBytes = 1024

// NewMessage returns a plain message.
func NewMessage(tag, destination string, body any) *Message {
	return &Message{Tag: tag, Destination: destination, Body: body}
}

// NewSessionMessage returns a message that opens a session of type t.
func NewSessionMessage(tag, destination string, body any, t SessionType) *Message {
	return &Message{
		Tag: tag, Destination: destination, Body: body, SessionType: t, Stage: t.request(),
	}
}

// String tells everything but the body.
func (m *Message) String() string {
	s := fmt.Sprintf("%s message %q from %s to %s, session %s", m.SessionType, m.Tag, m.Source,
		m.Destination, m.SessionID)
	if m.Stage != NoStage {
		s += ", " + m.Stage.String()
	}
	return s
}

// Decode returns the body of a message as a T. What was sent as numbers or bytes is not copied:
// the message and the result share memory. The error is a *BodyError.
func Decode[T any](m *Message) (T, error) { return DecodeBody[T](m.Body) }

// inbound is what the proxy remembers of a message that its application was given.
type inbound struct {
	proxy       *Proxy
	peer        *peer // the source
	incarnation int
	stream      *peer // by which it came: the source, or a relay
	streamInc   int
	ordinal     uint64 // its place among the requests of that stream, 0 for a reply
	relayed     bool   // a relay brought it: the source has to be told that it was received
	kind        SessionType
	session     ID
	message     ID
	re          ID    // the message that it answers, zero for a request
	failed      bool  // the body is the text of an error
	stage       Stage // guarded by the turn
	size        int64
	memory      *memory // of the body; nil when it is small, or released
}
