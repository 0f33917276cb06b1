package dist

import (
	"context"
	"errors"
	"time"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/regtable"
)

// StopTag is the tag of the message that ends Run, unless StopOn has set another.
const StopTag = "stop"

// Handler is called with the messages that an event has collected: unit events in the order of the
// event's text, the oldest message first within each. It runs in Run's goroutine; while it does, p
// goes on to take messages. The slice and the messages are the handler's.
type Handler[T any] func(
	ctx context.Context, self *T, p *proxy.Proxy, messages []*proxy.Message,
) error

// Component binds a value to a proxy. Its methods are for one goroutine.
type Component[T any] struct {
	self    *T
	p       *proxy.Proxy
	table   *regtable.Table[*proxy.Message]
	stop    string
	onError func(ctx context.Context, self *T, p *proxy.Proxy, err error) error
}

// New makes a component of self. It stays self's and p's owner's to close them.
func New[T any](p *proxy.Proxy, self *T) *Component[T] {
	return NewWith(p, self, regtable.Options[*proxy.Message]{})
}

// NewWith is New with options for the table of events.
func NewWith[T any](p *proxy.Proxy, self *T, o regtable.Options[*proxy.Message]) *Component[T] {
	return &Component[T]{self: self, p: p, table: proxy.NewTable(p, o), stop: StopTag}
}

// On calls h when the event holds: "worker:update:60%", say, or a combination; regtable.Parse tells
// the grammar. The error is a *regtable.SyntaxError or *regtable.EventError. Of several events that
// hold at once, the one registered first is handled first.
func (c *Component[T]) On(event string, h Handler[T]) error {
	parsed, err := regtable.Parse(event)
	if err != nil {
		return err
	}
	return c.OnEvent(parsed, h)
}

// OnEvent is On for an event that was built.
func (c *Component[T]) OnEvent(event regtable.Event, h Handler[T]) error {
	_, err := c.table.Register(event, func(ctx context.Context, messages []*proxy.Message) error {
		err := h(ctx, c.self, c.p, messages)
		if err == nil {
			return nil
		}
		return joinErrors(err, c.report(ctx, messages, err))
	})
	return err
}

// StopOn sets the tag of the message that ends Run; "" means none.
func (c *Component[T]) StopOn(tag string) { c.stop = tag }

// OnError sets what is told of errors that come in the place of a message: a *proxy.PeerLostError
// or a *proxy.RemoteError. Run goes on when f returns nil, and else ends with what it returns.
// Without f it ends with the error.
func (c *Component[T]) OnError(
	f func(ctx context.Context, self *T, p *proxy.Proxy, err error) error,
) {
	c.onError = f
}

// Table is the component's table of events.
func (c *Component[T]) Table() *regtable.Table[*proxy.Message] { return c.table }

// Run receives messages and calls handlers until a message of the stop tag comes, and then returns
// nil. It ends with an error when ctx ends (a *proxy.WaitError that wraps ctx's), when the proxy is
// closed, or when a handler returns one (a *regtable.HandlerError): then every sender of the
// messages that it was called with gets the text as a *proxy.RemoteError, in the place of the reply
// to each of its tasks.
//
// The stop message may be a task: it is completed before Run returns.
func (c *Component[T]) Run(ctx context.Context) error {
	revision := c.p.Revision()
	for {
		m, err := c.p.ReceiveUntilChange(ctx, revision)
		switch {
		case err != nil:
			err = c.failed(ctx, err)
		case m == nil: // a peer has come or gone: what a percentage is has changed
			revision = c.p.Revision()
			err = c.table.Trigger(ctx)
		case m.Tag == c.stop && c.stop != "":
			if m.SessionType == proxy.Task {
				return c.p.Reply(ctx, m, "", nil)
			}
			return nil
		default:
			err = c.table.Dispatch(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

// failed handles an error that came in the place of a message.
func (c *Component[T]) failed(ctx context.Context, err error) error {
	var ended *proxy.WaitError
	var superseded *proxy.SupersededError
	if c.onError == nil || errors.As(err, &ended) || errors.As(err, &superseded) {
		return err
	}
	return c.onError(ctx, c.self, c.p, err)
}

// reportTime bounds how long a handler's error waits to be told.
const reportTime = 5 * time.Second

// report tells the senders of messages why they were not handled: in the place of the reply to a
// task, unless the handler has replied, and once to the sender of other messages.
func (c *Component[T]) report(ctx context.Context, messages []*proxy.Message, cause error) error {
	// It may be ctx that has ended the handler; and a sender that takes nothing must not hold Run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer cancel()
	var errs []error
	told := map[string]bool{}
	for _, m := range messages {
		if m.SessionType != proxy.Task {
			if told[m.Source] {
				continue
			}
			told[m.Source] = true
		}
		err := c.p.ReplyError(ctx, m, cause)
		var done *proxy.StageError
		var lost *proxy.PeerLostError
		if err != nil && !errors.As(err, &done) && !errors.As(err, &lost) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// joinErrors keeps a handler's error as it is when its senders could be told.
func joinErrors(err, telling error) error {
	if telling == nil {
		return err
	}
	return errors.Join(err, telling)
}
