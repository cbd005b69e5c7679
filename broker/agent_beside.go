package broker

import (
	"context"
	"sync"
)

// beside is what an agent does beside its channels, because the application may take
// longer for it than a channel lives. Run has one, and waits for its goroutines.
type beside struct {
	ctx         context.Context
	wg          sync.WaitGroup
	controlling chan struct{}    // a slot for each request in work
	health      *lookout[Health] // nil: nobody knows
}

// besides starts what goes on beside the channels until ctx ends.
func (a *Agent) besides(ctx context.Context) *beside {
	b := &beside{ctx: ctx}
	if a.Health != nil {
		b.health = &lookout[Health]{ctx: ctx, wg: &b.wg, question: func(ctx context.Context) (Health, error) { return a.Health(ctx), nil }}
	}
	if a.Control != nil {
		b.controlling = make(chan struct{}, maxControlling)
		l := &lookout[[]UserSession]{ctx: ctx, wg: &b.wg, question: a.Control.UserSessions}
		b.wg.Go(func() { a.watchUsers(ctx, l) })
	}
	return b
}
