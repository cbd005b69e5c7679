package broker

import "context"

// Workspace returns the title of the tenant's workspace, "" where none is set.
func (b *Broker) Workspace(ctx context.Context, tenant string) (string, error) {
	b.start()
	return b.dir.Workspace(ctx, tenant)
}

// Icon returns the picture that the Icon of a resource names; it refuses with
// not_found.
func (b *Broker) Icon(ctx context.Context, name string) ([]byte, error) {
	b.start()
	return b.dir.Icon(ctx, name)
}
