package regtable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError reports a text that is no event.
type SyntaxError struct {
	Text     string // at most MaxTextBytes of it
	Offset   int    // in bytes
	Expected string // what could stand there
	Reason   string // what is wrong with what stands there, where there is more to say
}

// Error says what was expected and what was found; two more lines show the place:
//
//	regtable: event, offset 14: the amount has a leading zero: expected an amount such as 10 or 60%
//	    worker:update:010
//	                  ^
func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("regtable: event, offset %d: ", e.Offset)
	if e.Reason != "" {
		text += e.Reason + ": "
	}
	text += "expected " + e.Expected
	if e.Reason == "" {
		text += ", found " + found(e.Text[e.Offset:])
	}
	line, column := excerpt(e.Text, e.Offset)
	return text + "\n    " + line + "\n    " + strings.Repeat(" ", column) + "^"
}

// found names the start of what is left of a text.
func found(rest string) string {
	if rest == "" {
		return "the end"
	}
	if end := strings.IndexAny(rest, " \t\r\n"); end > 0 {
		rest = rest[:end]
	}
	const most = 40 // bytes
	if len(rest) > most {
		return fmt.Sprintf("%q...", rest[:most])
	}
	return fmt.Sprintf("%q", rest)
}

// excerpt returns the part of the offset's line that is near it, one printable character for each
// rune, and the offset's column in it.
func excerpt(text string, offset int) (line string, column int) {
	const before, after = 60, 40 // bytes
	start := max(strings.LastIndexByte(text[:offset], '\n')+1, offset-before)
	for start > 0 && start < offset && !utf8.RuneStart(text[start]) {
		start++
	}
	end := len(text)
	if i := strings.IndexByte(text[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	end = min(end, offset+after)
	var b strings.Builder
	for i, r := range text[start:end] {
		if start+i < offset {
			column++
		}
		if r == '\t' {
			r = ' '
		} else if !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String(), column
}

// EventError reports an event that is invalid, or that a table cannot take.
type EventError struct {
	Event  string // as text, where it has one
	Reason string
}

// Error names the event and the reason.
func (e *EventError) Error() string {
	if e.Event == "" {
		return "regtable: invalid event: " + e.Reason
	}
	return fmt.Sprintf("regtable: event %s: %s", e.Event, e.Reason)
}

// UnknownSourceError reports an event that names a source which the table does not know. It is
// found at registration, where Options.Sources lists the sources.
type UnknownSourceError struct {
	Event  Event
	Unit   Event  // the unit event of it
	Source string // as named there
	Known  []string
}

// Error names the unit event, its source and the sources there are.
func (e *UnknownSourceError) Error() string {
	return fmt.Sprintf("regtable: event %v: unit %v: %q is neither a known source (%s) nor the "+
		"name of a live peer; correct it, or add it to Options.Sources",
		e.Event, e.Unit, e.Source, strings.Join(e.Known, ", "))
}

// FullError reports a message that unit events could not keep, because they hold Options.Limit
// messages each that no firing has taken. Every other unit event has taken the message.
type FullError struct {
	Event Event // the first such event
	Unit  Event // and its unit event
	Units int   // how many unit events refused the message
	Limit int   // messages
}

// Error names the first unit event, the limit and what to do.
func (e *FullError) Error() string {
	more := ""
	if e.Units > 1 {
		more = fmt.Sprintf(", and so do %d more", e.Units-1)
	}
	return fmt.Sprintf("regtable: event %v: unit %v holds %d messages already%s: the message was "+
		"not kept there; see with Registration.Progress what the event waits for, unregister it, "+
		"clear the table, raise Options.Limit or choose DropOldest", e.Event, e.Unit, e.Limit, more)
}

// HandlerError reports the error that a handler returned.
type HandlerError struct {
	Event Event
	Err   error
}

// Error names the event.
func (e *HandlerError) Error() string {
	return fmt.Sprintf("regtable: handler of %v: %v", e.Event, e.Err)
}

// Unwrap returns what the handler returned.
func (e *HandlerError) Unwrap() error { return e.Err }
