package sqldirectory

import (
	"context"

	"github.com/reachback/reachback/broker"
)

// Attach implements broker.Presence.
func (d *Directory) Attach(ctx context.Context, host string) (*broker.Attachment, error) {
	var a *broker.Attachment
	err := d.write(ctx, "", func(t *tx) error {
		l, err := d.openLedger(t, host)
		if err != nil {
			return err
		}
		if l == nil {
			return (*hostRow)(nil).enrolled()
		}
		h := l.host
		if err := h.enrolled(); err != nil {
			return err
		}
		if h.lostAt() <= t.now && h.userSessions > 0 { // what it was away for too long for
			if err := l.findAll(); err != nil {
				return err
			}
			l.clear()
			l.store()
		}
		if h.up {
			h.replace(t.now)
		}
		h.epoch++
		t.exec(`UPDATE hosts SET up = TRUE, lapsed = FALSE, node = $2, epoch = $3, draining = FALSE, fit = TRUE, health = '',
			replaced = $4, duplicate_until = $5 WHERE id = $1`, host, d.node.id, h.epoch, toJSON(h.replaced), h.duplicateUntil)
		a = &broker.Attachment{Host: h.Host, Epoch: uint64(h.epoch), Duplicate: h.isDuplicate(t.now)}
		a.Kills, err = t.kills("on_host = $2 AND on_host <> ''", host)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Detach implements broker.Presence. A host that was absent only because its broker's
// lease had ended is absent for good now.
func (d *Directory) Detach(ctx context.Context, host string, epoch uint64) error {
	return d.write(ctx, "", func(t *tx) error {
		t.exec(`UPDATE hosts SET up = FALSE, lapsed = FALSE, absent_since = CASE WHEN up THEN $3 ELSE absent_since END
			WHERE id = $1 AND epoch = $2 AND (up OR lapsed)`, host, int64(epoch), t.now)
		return nil
	})
}

// Drain implements broker.Presence.
func (d *Directory) Drain(ctx context.Context, host string, epoch uint64, on bool) error {
	return d.onChannel(ctx, host, epoch, "draining = $3", on)
}

// Health implements broker.Presence.
func (d *Directory) Health(ctx context.Context, host string, epoch uint64, h *broker.Health) error {
	return d.onChannel(ctx, host, epoch, "fit = $3, health = $4", h.Fit, toJSON(h))
}

// onChannel changes columns of a host's row, while the channel with that epoch is its
// own.
func (d *Directory) onChannel(ctx context.Context, host string, epoch uint64, set string, values ...any) error {
	return d.write(ctx, "", func(t *tx) error {
		t.exec("UPDATE hosts SET "+set+" WHERE id = $1 AND epoch = $2 AND up", append([]any{host, int64(epoch)}, values...)...)
		return nil
	})
}

// SetDrain implements broker.Presence.
func (d *Directory) SetDrain(ctx context.Context, host string, on bool) error {
	return d.onHost(ctx, host, func(t *tx, h *hostRow) error {
		t.exec("UPDATE hosts SET drain = $2 WHERE id = $1", host, on)
		return nil
	})
}
