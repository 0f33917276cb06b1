package proxy

import (
	"context"
	"fmt"
)

// draft is a message before it has a peer.
type draft struct {
	meta        meta
	destination string
	body        *content
	path        []*peer // through which it reaches its peer, when relays bring it
	posted      *outgoing

	// What body and posted point to, for one allocation to do.
	content content
	out     outgoing
}

// content is a body as it is sent, by all drafts of a broadcast alike.
type content struct {
	encodedBody
	memory     *memory // that it lies in, when it was received
	staged     staged
	tried      bool // to compress it
	algorithm  compressionKind
	compressed []byte // when that is worth it
}

// draft checks a message and encodes it.
func (p *Proxy) draft(call string, m *Message) (*draft, error) {
	switch {
	case m == nil:
		return nil, &ArgumentError{call, "message", "it is nil"}
	case len(m.Tag) > MaxTagBytes:
		return nil, &ArgumentError{call, "tag", fmt.Sprintf("%d bytes, at most %d", len(m.Tag),
			MaxTagBytes)}
	case m.SessionType >= sessionTypes:
		return nil, &ArgumentError{call, "session type", m.SessionType.String()}
	case m.Stage != NoStage && m.Stage != m.SessionType.request():
		return nil, &ArgumentError{call, "stage", fmt.Sprintf("%q does not open a %s session; "+
			"leave it to the proxy", m.Stage, m.SessionType)}
	case m.Source != "" && m.Source != p.e.self.Name:
		return nil, &ArgumentError{call, "source", fmt.Sprintf("%q is not this component, %q; "+
			"leave it empty", m.Source, p.e.self.Name)}
	}
	body, err := p.encode(call, m.Body)
	if err != nil {
		return nil, err
	}
	d := newDraft(m.Destination, body)
	d.meta = meta{
		sessionType: m.SessionType, stage: m.SessionType.request(), session: m.SessionID,
		message: newID(), tag: m.Tag,
	}
	if d.meta.session == (ID{}) {
		d.meta.session = newID()
	}
	return d, nil
}

func newDraft(destination string, body encodedBody) *draft {
	d := &draft{destination: destination, content: content{encodedBody: body}}
	d.body, d.content.staged.unsent = &d.content, 1
	return d
}

func (p *Proxy) encode(call string, body any) (encodedBody, error) {
	b, err := encodeBody(body)
	if err == nil && int64(len(b.data)) > p.e.maxMessage {
		err = &ArgumentError{call, "body", fmt.Sprintf("%d bytes, at most %d; see WithMaxMessage",
			len(b.data), p.e.maxMessage)}
	}
	return b, err
}

func (p *Proxy) scatter(call, tag string, t SessionType, parcels []Parcel) ([]*draft, error) {
	if len(parcels) == 0 {
		return nil, &ArgumentError{call, "parcels", "there are none"}
	}
	drafts := make([]*draft, len(parcels))
	for i, parcel := range parcels {
		var err error
		drafts[i], err = p.draft(call, NewSessionMessage(tag, parcel.Destination, parcel.Body, t))
		if err != nil {
			return nil, err
		}
	}
	return drafts, nil
}

// broadcast makes one draft for each peer of the type, of one body.
func (p *Proxy) broadcast(ctx context.Context, call, kind, tag string, t SessionType, body any,
) ([]*draft, error) {
	first, err := p.draft(call, NewSessionMessage(tag, kind, body, t))
	if err != nil {
		return nil, err
	}
	first.meta.flags |= flagBroadcast
	e := p.e
	e.enter()
	defer e.leave()
	if err := e.quorum(ctx, kind); err != nil {
		return nil, err
	}
	var drafts []*draft
	for _, q := range e.ofType(kind) {
		d := *first
		d.destination = q.name()
		drafts = append(drafts, &d)
	}
	if len(drafts) == 0 {
		return nil, &UnknownPeerError{Self: e.self.Name, Destination: kind, Known: e.names()}
	}
	first.content.staged.unsent = len(drafts)
	return drafts, e.route(drafts)
}
