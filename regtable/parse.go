package regtable

import (
	"fmt"
	"strings"
)

// Parse reads an event from text:
//
//	event  = term { ("OR" | "||") term } .
//	term   = factor { ("AND" | "&&") factor } .
//	factor = unit | "(" event ")" .
//	unit   = source ":" tag ":" amount .
//	source = "*" | name .
//	tag    = "*" | name .
//	amount = count | percentage .
//
// AND binds tighter than OR, as in Go and SQL, and parentheses say otherwise. A count is 1 to
// [MaxCount], a percentage 1% to 100%, both whole numbers. A name is up to [MaxNameBytes] of
// printable UTF-8 without blanks and none of : ( ) & | *. Blanks, tabs and line breaks may stand
// around everything but inside a unit. Operators are in upper case.
//
// The error is a [*SyntaxError]. Memory and time are linear in the text, which [MaxTextBytes],
// [MaxDepth] and [MaxUnits] bound.
func Parse(text string) (Event, error) {
	p := &parser{text: text}
	if len(text) > MaxTextBytes {
		return Event{}, p.fail(MaxTextBytes, "an event of at most %d bytes", MaxTextBytes)
	}
	if err := p.next(); err != nil {
		return Event{}, err
	}
	e, err := p.event()
	if err != nil {
		return Event{}, err
	}
	if p.token != tokenEnd {
		return Event{}, p.fail(p.start, "AND, OR or the end of the event")
	}
	return e, nil
}

// MustParse is Parse for an event that the program itself spells out: it panics with the
// [*SyntaxError].
func MustParse(text string) Event {
	e, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return e
}

type token uint8

const (
	tokenEnd token = iota
	tokenOpen
	tokenClose
	tokenAnd
	tokenOr
	tokenWord
)

type parser struct {
	text       string
	token      token // the one looked at
	start, end int   // its place
	depth      int   // of parentheses
	units      int
}

// event reads terms up to what is no OR.
func (p *parser) event() (Event, error) {
	return p.list(tokenOr, Or, func() (Event, error) { return p.list(tokenAnd, And, p.factor) })
}

// list reads one or more items with the operator between them.
func (p *parser) list(
	operator token, combine func(...Event) Event, item func() (Event, error),
) (Event, error) {
	var events []Event
	for {
		start := p.start
		e, err := item()
		if err != nil {
			return Event{}, err
		}
		if events = append(events, e); p.token == operator {
			if err := p.next(); err != nil {
				return Event{}, err
			}
			continue
		}
		e = combine(events...)
		if e.Err() != nil { // units and parentheses are bounded already
			return Event{}, p.fail(start, "operators nested at most %d deep", MaxDepth)
		}
		return e, nil
	}
}

func (p *parser) factor() (Event, error) {
	switch p.token {
	case tokenWord:
		return p.unit()
	case tokenOpen:
	default:
		return Event{}, p.fail(p.start, "a unit event source:tag:amount, or (")
	}
	if p.depth++; p.depth > MaxDepth {
		return Event{}, p.fail(p.start, "parentheses nested at most %d deep", MaxDepth)
	}
	if err := p.next(); err != nil {
		return Event{}, err
	}
	e, err := p.event()
	if err != nil {
		return Event{}, err
	}
	if p.token != tokenClose {
		return Event{}, p.fail(p.start, "AND, OR or )")
	}
	p.depth--
	return e, p.next()
}

func (p *parser) unit() (Event, error) {
	word, start := p.text[p.start:p.end], p.start
	if p.units++; p.units > MaxUnits {
		return Event{}, p.fail(start, "at most %d unit events", MaxUnits)
	}
	source, rest, ok := strings.Cut(word, ":")
	if !ok {
		hint := ""
		if upper := strings.ToUpper(word); upper == "AND" || upper == "OR" {
			hint = "; operators are in upper case and stand between events"
		}
		return Event{}, p.fail(start, "a unit event source:tag:amount%s", hint)
	}
	tag, amountText, ok := strings.Cut(rest, ":")
	if !ok {
		return Event{}, p.fail(p.end, "a second : and an amount, as in source:tag:amount")
	}
	tagStart := start + len(source) + 1
	amountStart := tagStart + len(tag) + 1
	if at, reason := checkName("source", source); reason != "" {
		return Event{}, p.explain(start+at, reason, "a source: a type, a name or *")
	}
	if at, reason := checkName("tag", tag); reason != "" {
		return Event{}, p.explain(tagStart+at, reason, "a tag, or *")
	}
	if at := strings.IndexByte(amountText, ':'); at >= 0 {
		return Event{}, p.explain(amountStart+at, "a unit event has two colons",
			"source:tag:amount")
	}
	amount, at, reason := parseAmount(amountText)
	if reason != "" {
		return Event{}, p.explain(amountStart+at, reason, "an amount such as 10 or 60%")
	}
	return Unit(source, tag, amount), p.next()
}

// next looks at the next token.
func (p *parser) next() error {
	i := p.end
	for i < len(p.text) && strings.IndexByte(" \t\r\n", p.text[i]) >= 0 {
		i++
	}
	p.start, p.end = i, i
	if i == len(p.text) {
		p.token = tokenEnd
		return nil
	}
	p.end++
	switch c := p.text[i]; c {
	case '(':
		p.token = tokenOpen
	case ')':
		p.token = tokenClose
	case '&', '|':
		if p.end == len(p.text) || p.text[p.end] != c {
			return p.fail(i, "%c%c", c, c)
		}
		p.end++
		p.token = tokenAnd
		if c == '|' {
			p.token = tokenOr
		}
	default:
		for p.end < len(p.text) && strings.IndexByte(" \t\r\n()&|", p.text[p.end]) < 0 {
			p.end++
		}
		switch p.text[i:p.end] {
		case "AND":
			p.token = tokenAnd
		case "OR":
			p.token = tokenOr
		default:
			p.token = tokenWord
		}
	}
	return nil
}

// fail makes the error of what is at the offset, where something else is expected.
func (p *parser) fail(offset int, expected string, args ...any) error {
	return p.explain(offset, "", fmt.Sprintf(expected, args...))
}

func (p *parser) explain(offset int, reason, expected string) error {
	return &SyntaxError{
		Text:     p.text[:min(len(p.text), MaxTextBytes)],
		Offset:   min(offset, len(p.text)),
		Expected: expected,
		Reason:   reason,
	}
}
