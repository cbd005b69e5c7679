package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reachback/reachback"
)

// directoryWithin bounds each question to the directory, so that nobody who asks a
// broker hangs on its database.
const directoryWithin = 5 * time.Second

// patient is a directory as its broker asks it: every question ends within
// directoryWithin, and what is no refusal becomes one, unavailable, with the cause
// wrapped for the log. The directory itself is all: for operators, who bring their own
// bounds, and for the fleet, which has its own.
type patient struct{ all Directory }

// ask asks the directory within its bound.
func ask[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	bounded, cancel := context.WithTimeout(ctx, directoryWithin)
	defer cancel()
	got, err := question(bounded)
	if err == nil {
		return got, nil
	}
	if _, refused := errors.AsType[*reachback.Error](err); !refused && ctx.Err() != nil {
		return got, context.Cause(ctx) // the asker's own end, not the directory's
	}
	return got, refusal(err)
}

// refusal is err with a code: that of a refusal, or unavailable, which is what any
// other error of a directory means.
func refusal(err error) error {
	if _, refused := errors.AsType[*reachback.Error](err); refused || err == nil {
		return err
	}
	return fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeUnavailable), err)
}

// tell is ask for what has no answer but an error.
func tell(ctx context.Context, do func(context.Context) error) error {
	_, err := ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) })
	return err
}

func (p patient) Resources(ctx context.Context, u *reachback.User) ([]reachback.Resource, error) {
	return ask(ctx, func(ctx context.Context) ([]reachback.Resource, error) { return p.all.Resources(ctx, u) })
}

func (p patient) Assigned(ctx context.Context, u *reachback.User, resource string) (*Assignment, error) {
	return ask(ctx, func(ctx context.Context) (*Assignment, error) { return p.all.Assigned(ctx, u, resource) })
}

func (p patient) Workspace(ctx context.Context, tenant string) (string, error) {
	return ask(ctx, func(ctx context.Context) (string, error) { return p.all.Workspace(ctx, tenant) })
}

func (p patient) Icon(ctx context.Context, hash string) ([]byte, error) {
	return ask(ctx, func(ctx context.Context) ([]byte, error) { return p.all.Icon(ctx, hash) })
}

func (p patient) Registration(ctx context.Context, id string, hash [32]byte) (*Registration, error) {
	return ask(ctx, func(ctx context.Context) (*Registration, error) { return p.all.Registration(ctx, id, hash) })
}

func (p patient) Enrol(ctx context.Context, e *EnrolRequest) (*Enrolled, error) {
	return ask(ctx, func(ctx context.Context) (*Enrolled, error) { return p.all.Enrol(ctx, e) })
}

func (p patient) Host(ctx context.Context, id string) (*Host, error) {
	return ask(ctx, func(ctx context.Context) (*Host, error) { return p.all.Host(ctx, id) })
}

func (p patient) Hosts(ctx context.Context, q *HostQuery) ([]HostStatus, error) {
	return ask(ctx, func(ctx context.Context) ([]HostStatus, error) { return p.all.Hosts(ctx, q) })
}

func (p patient) EnrolGateway(ctx context.Context, e *EnrolRequest) (*Gateway, error) {
	return ask(ctx, func(ctx context.Context) (*Gateway, error) { return p.all.EnrolGateway(ctx, e) })
}

func (p patient) Gateway(ctx context.Context, id string) (*Gateway, error) {
	return ask(ctx, func(ctx context.Context) (*Gateway, error) { return p.all.Gateway(ctx, id) })
}

func (p patient) Kills(ctx context.Context, after uint64) ([]Kill, error) {
	return ask(ctx, func(ctx context.Context) ([]Kill, error) { return p.all.Kills(ctx, after) })
}

func (p patient) Attach(ctx context.Context, host string) (*Attachment, error) {
	return ask(ctx, func(ctx context.Context) (*Attachment, error) { return p.all.Attach(ctx, host) })
}

func (p patient) Detach(ctx context.Context, host string, epoch uint64) error {
	return tell(ctx, func(ctx context.Context) error { return p.all.Detach(ctx, host, epoch) })
}

func (p patient) Drain(ctx context.Context, host string, epoch uint64, on bool) error {
	return tell(ctx, func(ctx context.Context) error { return p.all.Drain(ctx, host, epoch, on) })
}

func (p patient) Health(ctx context.Context, host string, epoch uint64, h *Health) error {
	return tell(ctx, func(ctx context.Context) error { return p.all.Health(ctx, host, epoch, h) })
}

func (p patient) HostReport(ctx context.Context, host string, epoch uint64, full bool, reports []SessionReport) (*ReportAnswer, error) {
	return ask(ctx, func(ctx context.Context) (*ReportAnswer, error) {
		return p.all.HostReport(ctx, host, epoch, full, reports)
	})
}

func (p patient) AttachGateway(ctx context.Context, id string) (*GatewayAttachment, error) {
	return ask(ctx, func(ctx context.Context) (*GatewayAttachment, error) { return p.all.AttachGateway(ctx, id) })
}

func (p patient) DetachGateway(ctx context.Context, id string, epoch uint64) error {
	return tell(ctx, func(ctx context.Context) error { return p.all.DetachGateway(ctx, id, epoch) })
}

func (p patient) NewTokenID(ctx context.Context) (string, error) {
	return ask(ctx, p.all.NewTokenID)
}

func (p patient) Reserve(ctx context.Context, r *Reservation) (*Session, error) {
	return ask(ctx, func(ctx context.Context) (*Session, error) { return p.all.Reserve(ctx, r) })
}

func (p patient) Release(ctx context.Context, session string) error {
	return tell(ctx, func(ctx context.Context) error { return p.all.Release(ctx, session) })
}

func (p patient) Joined(ctx context.Context, session, call string) error {
	return tell(ctx, func(ctx context.Context) error { return p.all.Joined(ctx, session, call) })
}

func (p patient) Left(ctx context.Context, session, call string) error {
	return tell(ctx, func(ctx context.Context) error { return p.all.Left(ctx, session, call) })
}

func (p patient) Session(ctx context.Context, id string) (*Session, error) {
	return ask(ctx, func(ctx context.Context) (*Session, error) { return p.all.Session(ctx, id) })
}
