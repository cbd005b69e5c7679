// An issuer of another make for the tests: oidc-provider, with its own pages for
// signing in. Arguments: the folder node_modules, and the redirect URI of the client,
// if it is a web server and not a program on the user's machine. Commands come on
// standard input, one JSON object a line; each is answered by a line that starts with
// {"reply". The end of standard input ends the issuer.
//
//   {"rotate": true}    sign with a new key, and publish the old ones too
//   {"withdraw": true}  publish the newest key only
//   {"clock": SECONDS}  be that much ahead of the time, or behind
//   {"ttl": SECONDS}    life of access tokens to come
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

// The clock is off for the provider and for its JWT library: both ask Date.
let clock = 0;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + clock] : args));
  }

  static now() { return RealDate.now() + clock; }
};

const load = (file) => import(pathToFileURL(join(process.argv[2], 'oidc-provider', 'lib', ...file.split('/'))));
const { default: Provider } = await load('index.js');
const { default: Memory } = await load('adapters/memory_adapter.js');

let ttl = 300;
let keys = [];
let serve;
const server = createServer((req, res) => serve(req, res));
await new Promise((ready) => { server.listen(0, '127.0.0.1', ready); });
const issuer = `http://127.0.0.1:${server.address().port}`;

function newKey() {
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  keys.unshift({ ...jwk, kid: `k${RealDate.now()}-${keys.length}`, use: 'sig', alg: 'ES256' });
}

// A provider's keys are fixed, so each change of keys makes a new one. All of them
// keep grants and sessions in one memory.
function restart() {
  const provider = new Provider(issuer, {
    adapter: class extends Memory {}, // with the storage that all of its kind share
    jwks: { keys },
    clients: [{
      client_id: 'reachback',
      token_endpoint_auth_method: 'none',
      application_type: process.argv[3] ? 'web' : 'native',
      redirect_uris: [process.argv[3] ?? 'http://127.0.0.1/callback'],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      id_token_signed_response_alg: 'ES256',
    }],
    cookies: { keys: ['of a test'] },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    issueRefreshToken: () => true,
    extraTokenClaims: (ctx, token) => ({ groups: ['staff', 'it'], name: `Name of ${token.accountId}` }),
    features: {
      deviceFlow: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:reachback:feed', // of clients that name none
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: '',
          audience: 'reachback:feed',
          accessTokenFormat: 'jwt',
          accessTokenTTL: ttl,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  serve = provider.callback();
}

const commands = {
  rotate() { newKey(); restart(); },
  withdraw() { keys = keys.slice(0, 1); restart(); },
  clock(seconds) { clock = seconds * 1000; },
  ttl(seconds) { ttl = seconds; },
};

const reply = (o) => process.stdout.write(`{"reply":${JSON.stringify(o)}}\n`);
newKey();
restart();
reply(issuer);
for await (const line of createInterface({ input: process.stdin })) {
  for (const [name, value] of Object.entries(JSON.parse(line))) commands[name](value);
  reply('done');
}
process.exit(0);
