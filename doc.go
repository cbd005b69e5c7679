// Package reachback is a reverse-connect transport for RDP: users work on
// machines that accept no connection from outside. This package holds what all
// its parts share: users, resources, policies and grants, and the codes that say
// why something was refused.
//
// A machine with an RDP server is usually reached by dialling it, so its port
// must be open to somebody: to the internet, to a VPN, or to a gateway in the same
// network. With reverse connect nobody dials it. The machine keeps one outbound
// TLS connection to a broker. When a user opens a desktop the broker tells the
// machine so over that connection, the user's client and the machine both dial
// out to a gateway, and the gateway joins the two connections and copies bytes
// that it can neither read nor alter.
//
// # Roles
//
// An arrow starts at the party that dials:
//
//	+--------+  2 connect  +---------------+  1 control channel
//	|        |------------>| feed + broker |<------------------+
//	|        |             +---------------+  5 summon         |
//	|        |                     ^          (over 1)         |
//	| client |                     | 4 orchestrate             |
//	|        |                     |                           |
//	|        |  3 call     +---------------+  6 answer   +--------------+
//	|        |------------>|    gateway    |<------------| session host |
//	+--------+             +---------------+             +--------------+
//	     :                                                      :
//	     +......... 7 RDP inside TLS 1.3, end to end ...........+
//
// Who they are:
//
//   - The client is the user's side: a Go program that uses
//     [github.com/reachback/reachback/transport.Dialer], or the example client,
//     which lets any RDP program in through a port on loopback.
//   - The session host, or host, is the machine with the RDP server, and the
//     agent on it. It listens on nothing.
//   - The gateway ([github.com/reachback/reachback/relay]) pairs calls with answers
//     and copies. It holds no key that opens a session.
//   - The broker ([github.com/reachback/reachback/broker]) knows the hosts, what is
//     assigned to whom, and the sessions. It picks the host of each call, tells it
//     the client's key, and signs the grant that tells the client the host's.
//   - The feed ([github.com/reachback/reachback/feed]) lists for a signed-in user the
//     desktops and programs that are assigned, and hands out connection tokens.
//
// Step by step: the host's agent enrols once with a registration token and from
// then on keeps its control channel (1). A client makes a key for one connection
// and asks the feed's origin to connect (2): it gets the gateways' addresses, the
// broker's public keys, and a connection token that is bound to its key. It calls a
// gateway (3), which checks the token by itself and asks the broker (4). The
// broker picks a host and summons it (5) to that same gateway, with a ticket that is
// good for this call only. When the host's answer (6) is there both legs are told
// so, and the client gets the grant. Client and host now make TLS 1.3 with each other,
// through the gateway, each accepting only the key that the broker named to
// it. Inside it runs RDP, or whatever a program puts there: one end is a
// [net.Listener], the other a DialContext.
//
// # Threat model in brief
//
// The broker is trusted, and so is the feed's origin, from which a client has the
// broker's keys. Nobody else need be:
//
//   - A gateway that lies can delay and cut, and sees who talks to whom, when and
//     how much. It cannot read a session, change one, or be one of its ends.
//   - A stolen connection token opens nothing without the client's key. All that
//     the thief can do is spend it, which costs its owner one attempt.
//   - A hostile host reaches nothing but the calls that the broker gave to it.
//   - A hostile client reaches what is assigned to its user. No address that
//     it sends is ever dialled.
//   - All that a stranger can make a program hold is bounded, in bytes and in time.
//
// Raw calls, those of stock RDP clients without our TLS around them, promise less:
// their token is bound to no key, and the gateway has to be trusted unless the
// client checks the RDP server's certificate. They are off unless a pool's [Policy]
// admits them. A gateway that shares a process with the broker shares its keys,
// and is trusted with them.
// SECURITY.md has the whole model, and the attacks that the tests try.
//
// # Where to start
//
// To see it work, run examples/quickstart: everything in one process, in front
// of an RDP server on this machine. To put a program on either end, begin with
// [github.com/reachback/reachback/transport], whose example is a gateway, a host and
// a client in one function. To run an installation, see examples/server and
// examples/sessionhost. To speak the protocol from another language, read
// SPEC.md: it has every format byte by byte.
//
// # Errors
//
// Every refusal is an [*Error] with a [Code], in the error's tree at any depth:
//
//	if reachback.CodeOf(err) == reachback.CodeHostsFull { ... }
//
// The same codes travel in HTTP answers, on control channels and in sessions, and
// SPEC.md lists cause and remedy of each. Every record of one connection, at
// every party, has the same correlation id, which the broker made.
package reachback
