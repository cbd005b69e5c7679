package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

func TestDirectoryForgetsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, "a")
		epoch := p.up("a")
		for i := range 100 {
			s := p.joined(fmt.Sprint("u", i))
			switch i % 4 {
			case 0:
				require.NoError(t, p.dir.Left(t.Context(), s.ID, "call"))
			case 1:
				require.NoError(t, p.dir.Kill(t.Context(), s.ID, reachback.CodeKilled))
			case 2:
				_, err := p.dir.HostReport(t.Context(), "a", epoch, false, []SessionReport{{Session: s.ID, State: ReportDisconnected}})
				require.NoError(t, err)
			}
		}
		require.NoError(t, p.dir.Detach(t.Context(), "a", epoch))
		time.Sleep(25 * time.Hour)
		p.dir.begin()
		defer p.dir.mu.Unlock()
		require.Empty(t, p.dir.sessions)
		require.Empty(t, p.dir.tokens)
		require.Empty(t, p.dir.spent)
		require.Empty(t, p.dir.kills)
		require.Empty(t, p.dir.desktops)
		require.Empty(t, p.dir.agenda.entries)
		require.Empty(t, p.dir.hosts["a"].desktops)
	})
}

// A user session whose host says that it goes on is remembered by one session
// however often the user comes and goes.
func TestDirectoryRemembersOneSessionOfAUserSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, "a")
		epoch := p.up("a")
		var last *Session
		for range 100 {
			last = p.joined("alice")
			_, err := p.dir.HostReport(t.Context(), "a", epoch, false, []SessionReport{{Session: last.ID, State: ReportDisconnected}})
			require.NoError(t, err)
		}
		time.Sleep(25 * time.Hour)
		p.dir.begin()
		require.Len(t, p.dir.sessions, 1)
		require.Len(t, p.dir.hosts["a"].desktops, 1)
		p.dir.mu.Unlock()
		_, err := p.dir.HostReport(t.Context(), "a", epoch, false, []SessionReport{{Session: last.ID, State: ReportLoggedOff}})
		require.NoError(t, err)
		time.Sleep(KeepEnded)
		p.dir.begin()
		defer p.dir.mu.Unlock()
		require.Empty(t, p.dir.sessions)
		require.Empty(t, p.dir.hosts["a"].desktops)
		require.Empty(t, p.dir.agenda.entries)
	})
}

// What a host has put off, it has put off once: its reports and reconnections do
// not pile up until their times come.
func TestAgendaDoesNotGrowByWhatHostsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, "a")
		epoch := p.up("a")
		s := p.joined("alice")
		for range 100 {
			_, err := p.dir.HostReport(t.Context(), "a", epoch, false, []SessionReport{
				{Session: s.ID, State: ReportEnded}, {Session: s.ID, State: ReportDisconnected}, {Session: s.ID, State: ReportActive},
			})
			require.NoError(t, err)
			require.NoError(t, p.dir.Detach(t.Context(), "a", epoch))
			epoch = p.up("a")
		}
		require.LessOrEqual(t, len(p.dir.agenda.entries), 2)
		require.Equal(t, SessionActive, p.dir.sessions[s.ID].State)
	})
}

func TestDirectoryKeepsTheLastRecords(t *testing.T) {
	d := &MemoryDirectory{}
	for range 3 {
		batch := make([]Record, maxRecords/2)
		for i := range batch {
			batch[i] = Record{Time: time.Now(), Step: StepFeed}
		}
		require.NoError(t, d.AddRecords(t.Context(), batch))
	}
	require.Len(t, d.records, maxRecords)
	got, err := d.FindRecords(t.Context(), &RecordQuery{Limit: 1})
	require.NoError(t, err)
	require.EqualValues(t, 3*maxRecords/2, got[0].ID)
}

func TestIconsAreBounded(t *testing.T) {
	d := &MemoryDirectory{}
	for i := range maxIcons / MaxIcon {
		icon := make([]byte, MaxIcon)
		icon[0] = byte(i)
		for range 2 { // the same picture is kept once
			_, err := d.PutIcon(t.Context(), icon)
			require.NoError(t, err)
		}
	}
	_, err := d.PutIcon(t.Context(), []byte("one more"))
	requireCode(t, reachback.CodeBadRequest, err)
}
