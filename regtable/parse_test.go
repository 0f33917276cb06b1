package regtable_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/regtable"
)

func TestParse(t *testing.T) {
	tests := []struct{ text, want string }{
		{"worker:update:10", ""},
		{"worker:update:60%", ""},
		{"*:*:100%", ""},
		{" worker:update:1\n", "worker:update:1"},
		{"AND:OR:1", ""},
		{"рабочий.1:обновление:3", ""},
		{"a-b_c/d.e@f:g,h;i:1073741824", ""},
		{"a:b:1 AND c:d:2 AND e:f:3", ""},
		{"a:b:1&&c:d:2||e:f:3%", "(a:b:1 AND c:d:2) OR e:f:3%"},
		{"a:b:1 OR c:d:2 AND e:f:3", "a:b:1 OR (c:d:2 AND e:f:3)"},
		{"a:b:1 || c:d:2 AND e:f:3 OR g:h:4", "a:b:1 OR (c:d:2 AND e:f:3) OR g:h:4"},
		{"(a:b:1 OR c:d:2) AND e:f:3", ""},
		{"((a:b:1))", "a:b:1"},
		{"((a:b:1 AND c:d:2)) AND (e:f:3)", "(a:b:1 AND c:d:2) AND e:f:3"},
		{"(\ta:b:1\r\n\tAND(c:d:2)OR(e:f:3))", "(a:b:1 AND c:d:2) OR e:f:3"},
		{strings.Repeat("(", 100) + "a:b:1" + strings.Repeat(")", 100), "a:b:1"},
	}
	for _, test := range tests {
		e, err := regtable.Parse(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		want := test.want
		if want == "" {
			want = test.text
		}
		if got := e.String(); got != want {
			t.Errorf("%q is %q, want %q", test.text, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		text   string
		offset int
		say    string
	}{
		{"", 0, "a unit event"},
		{" \t\n", 3, "found the end"},
		{"worker", 0, "source:tag:amount"},
		{"worker:update", 13, "a second :"},
		{"worker:update:", 14, "the amount is missing"},
		{"worker:update:%", 14, "the amount is missing"},
		{"worker:update:0", 14, "a count is 1 to 1073741824, not 0"},
		{"worker:update:0%", 14, "a percentage is 1% to 100%, not 0%"},
		{"worker:update:120%", 14, "a percentage is 1% to 100%, not 120%"},
		{"worker:update:-1", 14, "ASCII digits only"},
		{"worker:update:+1", 14, "ASCII digits only"},
		{"worker:update:1_0", 15, "ASCII digits only"},
		{"worker:update:1.5", 15, "a whole number"},
		{"worker:update:50.5%", 16, "whole percentage"},
		{"worker:update:5%%", 15, "whole percentage"},
		{"worker:update:010", 14, "a leading zero"},
		{"worker:update:٣", 14, "ASCII digits only"},
		{"worker:update:1073741825", 14, "a count is 1 to"},
		{"worker:update:99999999999999999999", 14, "more than 1073741824"},
		{"worker:update: 1", 14, "the amount is missing"},
		{"worker :update:1", 0, "a unit event"},
		{":update:1", 0, "the source is empty"},
		{"worker::1", 7, "the tag is empty"},
		{"::1", 0, "the source is empty"},
		{"worker:update:1:2", 15, "two colons"},
		{"worker*:update:1", 6, "there are no patterns"},
		{"worker:**:1", 7, "there are no patterns"},
		{"wor\x00ker:update:1", 3, `no '\x00'`},
		{"wor\xffker:update:1", 3, "not valid UTF-8"},
		{"w\u00a0x:update:1", 1, `no '\u00a0'`},
		{"w" + strings.Repeat("o", 255) + ":update:1", 255, "longer than 255 bytes"},
		{"a:b:1 c:d:1", 6, `expected AND, OR or the end of the event, found "c:d:1"`},
		{"a:b:1 AND", 9, "found the end"},
		{"AND a:b:1", 0, `found "AND"`},
		{"a:b:1 AND OR c:d:1", 10, `found "OR"`},
		{"a:b:1 and c:d:1", 6, `found "and"`},
		{"a:b:1 AND and", 10, "upper case"},
		{"a:b:1 & c:d:1", 6, "expected &&"},
		{"a:b:1 |", 6, "expected ||"},
		{"(a:b:1", 6, "expected AND, OR or ), found the end"},
		{"a:b:1)", 5, "the end of the event"},
		{"()", 1, "a unit event"},
		{`("a:b:1", "c:d:1", "AND")`, 7, "ASCII digits only"},
		{strings.Repeat("(", 101), 100, "at most 100 deep"},
		{"a:b:1" + strings.Repeat(" OR a:b:1", 1024), 5 + 9*1024 - 5, "at most 1024 unit events"},
		{strings.Repeat(" ", 1<<20+1), 1 << 20, "at most 1048576 bytes"},
		{deep(60), 0, "operators nested at most 100 deep"},
	}
	for _, test := range tests {
		_, err := regtable.Parse(test.text)
		syntax, ok := errors.AsType[*regtable.SyntaxError](err)
		if !ok {
			t.Errorf("%.60q: got %v, want a *SyntaxError", test.text, err)
			continue
		}
		if syntax.Offset != test.offset && test.text != deep(60) {
			t.Errorf("%.60q: offset %d, want %d", test.text, syntax.Offset, test.offset)
		}
		if !strings.Contains(err.Error(), test.say) {
			t.Errorf("%.60q: %v\ndoes not say %q", test.text, err, test.say)
		}
	}
}

// deep nests an OR of an AND in each of n parentheses.
func deep(n int) string {
	return strings.Repeat("a:b:1 OR a:b:1 AND (", n) + "a:b:1" + strings.Repeat(")", n)
}

func TestSyntaxErrorShowsThePlace(t *testing.T) {
	tests := []struct{ text, want string }{
		{"worker:update:1_0", `regtable: event, offset 15: the amount is a whole number, ` +
			`in ASCII digits only, or a whole percentage: expected an amount such as 10 or 60%
    worker:update:1_0
                   ^`},
		{"a:b:1 AND\n\t(c:d:1 OR e)\nAND g:h:1", `regtable: event, offset 21: expected a unit ` +
			`event source:tag:amount, found "e)"
     (c:d:1 OR e)
               ^`},
		{"рабочий:é\x80:1", `regtable: event, offset 17: the tag is not valid UTF-8: ` +
			"expected a tag, or *\n    рабочий:é\uFFFD:1\n             ^"},
		{"a:b:1 AND ", "regtable: event, offset 10: expected a unit event source:tag:amount, " +
			"or (, found the end\n    a:b:1 AND \n              ^"},
		{
			strings.Repeat("a:b:1 AND ", 20) + "x" + strings.Repeat("y", 100),
			`regtable: event, offset 200: expected a unit event source:tag:amount, found "x` +
				strings.Repeat("y", 39) + "\"...\n    " + strings.Repeat("a:b:1 AND ", 6) + "x" +
				strings.Repeat("y", 39) + "\n    " + strings.Repeat(" ", 60) + "^",
		},
	}
	for _, test := range tests {
		_, err := regtable.Parse(test.text)
		if err == nil {
			t.Errorf("%q is an event", test.text)
			continue
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestMustParsePanics(t *testing.T) {
	defer func() {
		if err, ok := recover().(*regtable.SyntaxError); !ok || err.Offset != 4 {
			t.Errorf("recovered %v, want a *SyntaxError", err)
		}
	}()
	regtable.MustParse("a:b:0")
}

// FuzzParse looks for panics, errors that point nowhere, and events that their text does not tell.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"worker:update:10", "worker:update:60%", "*:*:1", "a:b:1 AND c:d:2 OR (e:f:3 && g:h:4)",
		"((a:b:1)", "a:b:1 || ", "a:b:-1", "::1", "a:b:1_0", "a:b:٣", "рабочий:é\x80:1", "a:b:1&c:d:2",
		deep(3), strings.Repeat("(", 200), "a:b:1\n\tAND\r\nx", "a:b:99999999999999999999999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := regtable.Parse(text)
		if err != nil {
			syntax, ok := errors.AsType[*regtable.SyntaxError](err)
			if !ok || syntax.Offset < 0 || syntax.Offset > len(text) {
				t.Fatalf("%q: %v", text, err)
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) != 3 ||
				len([]rune(lines[2])) > len([]rune(lines[1]))+1 {
				t.Fatalf("%q: the caret points nowhere:\n%v", text, err)
			}
			return
		}
		if e.Err() != nil {
			t.Fatalf("%q: %v", text, e.Err())
		}
		again, err := regtable.Parse(e.String())
		if err != nil || again.String() != e.String() {
			t.Fatalf("%q is %v, which is %v, %v", text, e, again, err)
		}
	})
}
