package broker

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/reachback/reachback"
)

// maxAppMessages is how many application messages of one channel are handled at once.
const maxAppMessages = 16

// A Message is an application's own, carried by the control channel. With its
// envelope it must fit into [MaxMessage].
type Message struct {
	Topic string          `json:"topic"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// Send sends an application's message to a host and returns the answer.
func (b *Broker) Send(ctx context.Context, host string, m *Message) (*Message, error) {
	b.start()
	c := b.channel(host)
	if c == nil {
		return nil, reachback.Refuse(reachback.CodeHostNotConnected)
	}
	return c.sendApp(ctx, m)
}

func (c *channel) sendApp(ctx context.Context, m *Message) (*Message, error) {
	got, err := c.request(ctx, &appMessage{Topic: m.Topic, Body: m.Body})
	if err != nil {
		return nil, err
	}
	a, ok := got.(*appMessage)
	if !ok {
		return nil, reachback.Refuse(reachback.CodeProtocolError)
	}
	return &Message{a.Topic, a.Body}, nil
}

// An appHandler answers applications' own messages, OnMessage of broker or agent.
type appHandler func(ctx context.Context, m *Message) (*Message, error)

// appSlots holds one for each application message in work. Most channels never need
// it, so it begins nil.
type appSlots chan struct{}

// appMessage has an application's message answered, beside the reader, by a goroutine
// that wg counts.
func (c *channel) appMessage(wg *sync.WaitGroup, slots *appSlots, m *appMessage, handle appHandler) {
	if handle == nil {
		c.answer(m.ID, nil, reachback.Refuse(reachback.CodeNoHandler))
		return
	}
	if *slots == nil {
		*slots = make(appSlots, maxAppMessages)
	}
	s := *slots
	select {
	case s <- struct{}{}:
	default:
		c.answer(m.ID, nil, reachback.Refuse(reachback.CodeRateLimited))
		return
	}
	wg.Go(func() {
		defer func() { <-s }()
		got, err := handle(c.ctx, &Message{m.Topic, m.Body})
		if got == nil {
			got = &Message{}
		}
		if err := c.answer(m.ID, &appMessage{Topic: got.Topic, Body: got.Body}, err); err != nil {
			c.answer(m.ID, nil, err) // it does not fit
		}
	})
}

// answer sends m, or the refusal that err is, as the answer to the message id.
func (c *channel) answer(id uint64, m message, err error) error {
	if err != nil {
		e := reachback.AsError(err)
		m = &refuseMessage{Code: e.Code, Message: e.Message}
	}
	m.head().Re = id
	return c.send(m)
}
