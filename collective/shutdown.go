package collective

import (
	"errors"
	"time"
)

// lingerFor bounds how long Close sees to frames that a link has not taken yet.
const lingerFor = 2 * time.Second

// shutdown ends the engine: frames that wait for a link go out, the background ends, the endpoint
// closes, and what the first communicator brought along is released.
func (e *engine) shutdown() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.ep.Wake()
	e.background.Wait()

	e.mu.Lock()
	for end := time.Now().Add(lingerFor); time.Now().Before(end); {
		e.sweep()
		if !e.unflushed() {
			break
		}
		e.mu.Unlock()
		e.ep.Wait(time.Now().Add(lingerFor / 40))
		e.mu.Lock()
	}
	if e.unwatch != nil {
		e.unwatch()
	}
	release := e.release
	e.release = nil
	e.mu.Unlock()
	err := e.ep.Close()
	if release != nil {
		err = errors.Join(err, release())
	}
	return err
}
