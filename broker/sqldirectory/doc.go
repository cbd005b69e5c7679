// Package sqldirectory keeps what brokers know in a SQL database: a [Directory] is a
// broker.Directory and a broker.KeyStore on SQLite, for one broker, or PostgreSQL,
// for any number that share it.
//
// # Durability
//
// What a method has changed when it returns nil is on the disk, as far as the
// database's own settings allow: SQLite runs with synchronous=FULL, and PostgreSQL
// must not have fsync or synchronous_commit turned off. Operations that come at the
// same time share a commit. After an error other than a refusal nothing was changed,
// unless the connection to PostgreSQL broke just in the commit; every change can be
// asked for again. While the database is away each method fails within three
// seconds, and works again when it is back.
//
// # Time and presence
//
// The database's clock counts, and no broker's; SQLite's is the machine's, whose
// being set it follows slowly. A Directory on PostgreSQL is a node with a lease that
// it renews; a host is up while its row says so and the lease of the node that has
// its channel is in force. A node that was cut off for longer than its lease finds
// its hosts absent and puts them back when it returns. Who could not reach the
// database himself judges nobody's lease for one lease time after, because the
// others could not renew theirs either. A SQLite file belongs to one process: what
// its predecessor left up is absent from the moment of opening.
//
// What has run out, such as slots that were never joined, is cleared once a second,
// and always before somebody is refused because all hosts are full.
//
// # Concurrency
//
// The row of a host is locked while its user sessions change, so that its count is
// exact. Reservations that come at the same time and would all take the emptiest host
// pass over those being taken, and wait only when no other has room: one at a time in
// each pool, so that no two wait for each other. In depth-first pools they always wait,
// because spreading is what the operator does not want.
//
// A Directory has up to 8 connections to PostgreSQL, or as many as the parameter
// pool_max_conns of the URL says.
//
// # Keys
//
// Keys are sealed with AES-256-GCM under a key that is derived from
// [Options.KeySecret]. Without the secret they are lost, and with them every host's
// identity: keep a copy of it apart from those of the database.
//
// # Backup, upgrade and downgrade
//
// Of SQLite make a copy with VACUUM INTO 'copy.db' while the broker runs, or copy the
// file and its -wal together while it does not. Of PostgreSQL take pg_dump. Connection
// tokens that were spent after the copy was made could be used once more within their
// ten minutes; so let that time pass before a restored copy is served.
//
// [Open] brings an older schema up to its own, one broker at a time. A database whose
// schema is newer than the program is refused. There is no way back but the copy made
// before the upgrade: let the new version in first on one broker, and keep the copy.
// Brokers of the old version that are connected go on until they are restarted.
package sqldirectory
