package broker

import (
	"context"
	"errors"
)

var errUnwritten = errors.New("broker: to be written")

func (d *MemoryDirectory) Workspace(ctx context.Context, tenant string) (string, error) {
	return "", errUnwritten
}

func (d *MemoryDirectory) Setup(ctx context.Context, tenant string) (*Seed, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) PutPool(ctx context.Context, tenant string, p *SeedPool) error {
	return errUnwritten
}

func (d *MemoryDirectory) PutResource(ctx context.Context, tenant string, r *SeedResource) error {
	return errUnwritten
}

func (d *MemoryDirectory) DeletePool(ctx context.Context, tenant, name string) error {
	return errUnwritten
}

func (d *MemoryDirectory) DeleteResource(ctx context.Context, tenant, id string) error {
	return errUnwritten
}

func (d *MemoryDirectory) Assign(ctx context.Context, tenant, resource, to string) error {
	return errUnwritten
}

func (d *MemoryDirectory) Unassign(ctx context.Context, tenant, resource, to string) error {
	return errUnwritten
}

func (d *MemoryDirectory) PutIcon(ctx context.Context, data []byte) (hash string, err error) {
	return "", errUnwritten
}

func (d *MemoryDirectory) Icon(ctx context.Context, hash string) ([]byte, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) Registrations(ctx context.Context, tenant string) ([]Registration, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) DeleteRegistration(ctx context.Context, id string) error {
	return errUnwritten
}

func (d *MemoryDirectory) Registration(ctx context.Context, id string, hash [32]byte) (*Registration, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) Hosts(ctx context.Context, q *HostQuery) ([]HostStatus, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) Rename(ctx context.Context, host, name string) error { return errUnwritten }

func (d *MemoryDirectory) AssignHost(ctx context.Context, host, user string) error {
	return errUnwritten
}

func (d *MemoryDirectory) EnrolGateway(ctx context.Context, e *EnrolRequest) (*Gateway, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) Gateway(ctx context.Context, id string) (*Gateway, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) Gateways(ctx context.Context) ([]GatewayStatus, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) RevokeGateway(ctx context.Context, id string) error { return errUnwritten }

func (d *MemoryDirectory) SetDrain(ctx context.Context, host string, on bool) error {
	return errUnwritten
}

func (d *MemoryDirectory) Health(ctx context.Context, host string, epoch uint64, h *Health) error {
	return errUnwritten
}

func (d *MemoryDirectory) AttachGateway(ctx context.Context, id string) (*GatewayAttachment, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) DetachGateway(ctx context.Context, id string, epoch uint64) error {
	return errUnwritten
}

func (d *MemoryDirectory) SetGatewayDrain(ctx context.Context, id string, on bool) error {
	return errUnwritten
}

func (d *MemoryDirectory) Session(ctx context.Context, id string) (*Session, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) ListSessions(ctx context.Context, q *SessionQuery) ([]Session, error) {
	return nil, errUnwritten
}

func (d *MemoryDirectory) AddRecords(ctx context.Context, records []Record) error { return nil }

func (d *MemoryDirectory) FindRecords(ctx context.Context, q *RecordQuery) ([]Record, error) {
	return nil, errUnwritten
}
