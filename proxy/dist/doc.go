// Package dist makes a component of a distributed program out of a local type: handlers are bound
// to conditional events, and a loop receives messages and calls them.
//
//	c := dist.New(p, &Learner{})
//	err := c.On("worker:update:60%", func(
//		ctx context.Context, l *Learner, p *proxy.Proxy, messages []*proxy.Message,
//	) error {
//		return l.Learn(messages)
//	})
//	err = c.Run(ctx)
//
// Handlers are called one after another, in the goroutine that calls Run, so the type needs no
// locks. The table of events is regtable's, with its rules of matching and consumption.
//
// The package is MARO's dist (maro/communication/dist_decorator.py), which there is a class
// decorator; differently from there, the loop ends without ending the process: with its context,
// with a message of the tag "stop", or with the first error of a handler, which the senders of the
// messages learn.
//
// It imports proxy and regtable. It opens no connection, keeps no goroutine, and no driver, store
// or wire format ever enters it.
package dist
