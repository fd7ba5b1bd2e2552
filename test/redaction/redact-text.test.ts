import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor } from '../../ingest/redaction/redactor.ts'

const redactor = createRedactor({ token: () => '7777777777777777' })
const redact = (text: string) => redactor.redactText(text).text

const b64 = 'Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4'
const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg'
const pem = `-----BEGIN RSA PRIVATE KEY-----\nMIIEow${b64}\n${b64}\n-----END RSA PRIVATE KEY-----`
/** Secrets are put together here so that no scanner takes this file for a leak. */
const join = (...parts: string[]) => parts.join('')

/** [rule, text, the part that must go, a part that must stay] */
const secrets: [string, string, string, string][] = [
  ['bearer', `sent Bearer a1b2c3d4e5f6 upstream`, 'a1b2c3d4e5f6', 'upstream'],
  ['authorization', 'Authorization: Basic dXNlcjpwYXNz', 'dXNlcjpwYXNz', 'Basic'],
  [
    'authorization',
    'authorization: Digest username="u", response="6629fae4"',
    '6629fae4',
    'Digest',
  ],
  ['authorization', "curl -H 'Authorization: Bearer zzz.yyy1' https://x", 'zzz.yyy1', 'https://x'],
  ['jwt', `got ${jwt} back`, jwt, 'back'],
  ['private-key', `key: ${pem} end`, b64, 'end'],
  ['private-key', pem.slice(0, 90), b64.slice(0, 20), ''],
  ['private-key', pem.replaceAll('\n', '\\n'), b64, ''],
  ['url-password', 'postgres://app:s3cr3t@db:5432/main', 's3cr3t', '@db:5432/main'],
  ['url-password', 'mysql://root:p@ss@db/x', 'p@ss', 'root'],
  ['url-password', 'mongodb+srv://u:hunter2@c0.mongodb.net', 'hunter2', 'c0.mongodb.net'],
  ['url-password', 'redis://:hunter2@cache:6379', 'hunter2', 'cache'],
  ['url-password', 'amqp://guest:hunter2@mq', 'hunter2', 'guest'],
  ['url-password', 'GET https://bob:hunter2@host/path', 'hunter2', '/path'],
  ['url-password', 'jdbc:oracle:thin:scott/tiger7@//db:1521/x', 'tiger7', 'scott'],
  ['password', 'jdbc:postgresql://db/x?user=a&password=hunter2&ssl=1', 'hunter2', 'ssl=1'],
  ['password', 'Server=db;User Id=sa;Password=hunter2;Encrypt=1', 'hunter2', 'Encrypt=1'],
  ['aws-key-id', join('id AK', 'IAIOSFODNN7EXAMPLE ok'), 'IAIOSFODNN7EXAMPLE', 'ok'],
  ['aws-secret', 'aws: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 'wJalrXUtnFEMI', 'aws'],
  ['gcp-key', join('key=AI', 'zaSyA1234567890abcdefghijklmnopqrstuv.'), 'SyA1234567890', ''],
  ['gcp-token', 'ya29.a0AfH6SMBx1234567890abcdef', 'a0AfH6SMBx', ''],
  ['azure-key', `AccountName=a;AccountKey=${b64}==;EndpointSuffix=x`, b64, 'EndpointSuffix'],
  ['signature', `https://a.blob/x?sv=2020&sig=${b64}%3D&se=1`, b64, 'se=1'],
  ['azure-secret', 'abc8Q~ABCDEFGHIJKLMNOPQRSTUVWXYZ01234567', 'ABCDEFGHIJ', ''],
  ['github-token', join('gh', 'p_0123456789abcdefghijABCDEFGHIJ012345'), '0123456789abcde', ''],
  ['github-token', join('github', '_pat_11ABCDEFG0123456789_abcdefghij'), '11ABCDEFG', ''],
  ['gitlab-token', join('gl', 'pat-0123456789abcdefghij'), '0123456789abcdefghij', ''],
  ['slack-token', join('xo', 'xb-123456789012-abcdefghijkl'), '123456789012', ''],
  [
    'slack-webhook',
    'hooks.slack.com/services/T0001/B0001/abcdefghijklmnop',
    'abcdefgh',
    'slack.com',
  ],
  ['npm-token', join('np', 'm_0123456789abcdefghijABCDEFGHIJ012345'), '0123456789abcde', ''],
  ['pypi-token', join('py', 'pi-AgEIcHlwaS5vcmcCJDAwMDAwMDAw'), 'EIcHlwaS5vcmc', ''],
  ['stripe-key', join('sk_', 'live_0123456789abcdefghij'), '0123456789abcdefghij', ''],
  ['model-api-key', join('sk-', 'proj-0123456789abcdefghijABCD'), '0123456789abcdefghij', ''],
  ['model-api-key', join('sk-', 'ant-api03-0123456789abcdefghij'), '0123456789abcdefghij', ''],
  ['model-api-key', 'sk-1234567890', '1234567890', ''],
  ['sealtrail-key', 'stk_0123456789abcdefghij', '0123456789abcdefghij', ''],
  ['sealtrail-key', 'sts_0123456789abcdefghij', '0123456789abcdefghij', ''],
  ['vendor-token', join('hf', '_0123456789abcdefghijABCDEFGHIJ0123'), '0123456789abcde', ''],
  ['cookie', 'Cookie: sid=abc123; theme=dark\nHost: x', 'abc123', 'Host: x'],
  ['cookie', '"set-cookie": "sid=abc123; Path=/"', 'abc123', 'set-cookie'],
  ['password', 'password=hunter2 next', 'hunter2', 'next'],
  ['password', "password: 'correct horse battery'", 'horse', ''],
  ['password', 'the password is hunter2', 'hunter2', 'the password is'],
  ['password', 'mysql --password hunter2 -h db', 'hunter2', '-h db'],
  ['password', 'curl -u bob:hunter2 https://x', 'hunter2', 'bob'],
  ['token', 'secret token=abc12345', 'abc12345', 'secret'],
  ['token', 'export GITHUB_TOKEN=abcdef', 'abcdef', 'GITHUB_TOKEN'],
  ['api-key', '?api_key=abc123&x=1', 'abc123', 'x=1'],
  ['secret', 'client_secret: "a b c"', 'a b c', ''],
  ['github-token', join('github', '_pat_11AAAAAAA0', 'a1B2'.repeat(18)), 'a1B2a1B2', ''],
  ['gitlab-token', join('gl', 'pat-0123456789abcdefghij0123456.01.0a1b2c3d4'), '0a1b2c3d4', ''],
  ['gitlab-token', join('gl', 'rt-t1_0123456789abcdefghij'), '0123456789', ''],
  ['gitlab-token', join('gl', 'soat-0123456789abcdefghij'), '0123456789', ''],
  ['aws-key-id', join('AS', 'IAIOSFODNN7EXAMPLE'), 'IOSFODNN7', ''],
  ['slack-token', join('xo', 'xd-0123%2Babcdef'), '0123%2Babcdef', ''],
  ['slack-token', join('xo', 'xe.xoxp-1-Mi0yLTEyMzQ1Njc4OTA'), 'Mi0yLTEyMzQ', ''],
  ['stripe-key', join('rk_', 'live_0123456789abcdefghij'), '0123456789', ''],
  ['stripe-key', join('sk_', 'org_live_0123456789abcdefghij'), '0123456789', ''],
  ['gcp-secret', join('GOCS', 'PX-0123456789abcdefghij01234567'), '0123456789', ''],
  ...(
    [
      ['do', 'o_v1_'],
      ['do', 'r_v1_'],
      ['SG', '.0123456789abcdefghij01.'],
      ['xa', 'i-'],
      ['gs', 'k_'],
      ['sntr', 'yu_'],
      ['gl', 'c_'],
      ['dckr', '_oat_'],
      ['AT', 'BB'],
      ['PM', 'AK-'],
      ['pul', '-'],
      ['sb', 'p_'],
      ['pscale', '_tkn_'],
      ['dp', '.st.'],
      ['nf', 'p_'],
      ['tv', 'ly-'],
      ['pc', 'sk_'],
      ['AGE-SECRET', '-KEY-1'],
      ['key', '-'],
      ['HR', 'KU-'],
    ] as const
  ).map(([prefix, rest]): [string, string, string, string] => [
    'vendor-token',
    `is ${join(prefix, rest, '0123456789abcdef'.repeat(4))}, ok`,
    '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
    ', ok',
  ]),
  ['vendor-token', join('123456789', ':AA', 'aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3'), 'aB3dE5fG7h', ''],
  ['vendor-token', `aB3dE5fG7hJ9kL.atlasv1.${b64}`, b64, ''],
  ['webhook', `https://discord.com/api/webhooks/1234/${b64}`, b64, 'discord.com'],
  ['password-hash', 'root:$6$salt$0123456789abcdefghij:19000:0', '0123456789', 'root:'],
  ['password-hash', 'bob:$2b$10$0123456789abcdefghij01', '0123456789', 'bob:'],
  ['password-hash', '$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$0123456789', '0123456789', ''],
  ['url-password', 'root:hunter2@tcp(127.0.0.1:3306)/main', 'hunter2', 'root:'],
  ['password', 'machine x login bob password hunter2 end', 'hunter2', 'login bob'],
  ['password', 'mysql --pass hunter2 -h db', 'hunter2', '-h db'],
  ['password', 'cmd --db-password=hunter2', 'hunter2', '--db-password='],
  ['api-key', "cmd --api-key 'a b c' x", 'a b c', ' x'],
  ['password', '<user><password>hunter2</password></user>', 'hunter2', '</password>'],
  ['api-key', '<ns:apiKey type="x"> abc12345 </ns:apiKey>', 'abc12345', '</ns:apiKey>'],
  ['authorization', '//registry/:_auth = dXNlcjpwYXNz', 'dXNlcjpwYXNz', 'registry'],
  ['authorization', 'Authorization: SSWS 00abcdefghij', '00abcdefghij', 'SSWS'],
  ['password', 'password -> hunter2', 'hunter2', '->'],
  ['password', 'Passwort: hunter2', 'hunter2', 'Passwort'],
  ['secret', "{'client_secret': 'abc'}", "'abc'", 'client_secret'],
  ['secret', 'call {\\"client_secret\\":\\"abcq\\",\\"a\\":1}', 'abcq', '\\"a\\":1'],
]

const harmless = [
  'the password is required',
  'Invalid token: check the documentation',
  'max_tokens=4096 input_tokens: 12',
  'progressToken=7 nextPageToken=abcdef pageToken: "abc"',
  'WWW-Authenticate: Bearer resource_metadata="https://x/y", scope="a b"',
  'Bearer realm="example"',
  'a bearer of bad news',
  'Basic authentication is needed',
  'const token = getToken()',
  'token = await fetchToken(user)',
  'const password = process.env.PASSWORD',
  'api_key=config.api_key',
  'if (token === null) return; if (secret == other) stop()',
  'password: str, token: Optional[str] = None',
  'password = os.environ["DB_PASSWORD"]',
  'password=$(cat file)',
  'arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db',
  "fetch(url, { credentials: 'same-origin' })",
  'SyntaxError: Unexpected token: identifier9',
  'docker run -u 1000:1000 image; chown -u bob:staff file',
  '--token-file /run/secrets/x --password-stdin --no-password x',
  'it costs $1 and $6 or $2a',
  '<secretary>bob</secretary><password></password><password>***</password>',
  'key-value pul-request xai-model dp.table sbp_x secret_santa webhook',
  'https://example.com:8443/path?x=1#frag',
  'https://user@example.com/path',
  'mail alice@example.com',
  'see https://example.com/a?to=bob@example.com',
  'commit da39a3ee5e6b4b0d3255bfef95601890afd80709 on aws',
  'risk-assessment task-12345678901234567890 disk-usage',
  'ghp_short npm_config pypi-package-name',
  '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----',
  '-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----',
  'cookie: chocolate',
  'password: ***',
  'password=$DB_PASSWORD token=<TOKEN> secret={{ vault }}',
  'C:\\users\\bob\\file.txt',
  'authorization: required',
  'the secretary sent keys',
  '7a09c96904d2a1418d041be743d6d794',
  '2026-11-24T13:20:00.123Z',
]

describe('rules for free text', () => {
  it.each(secrets)('%s is replaced in %j', (rule, text, gone, kept) => {
    const { text: redacted, redactions } = redactor.redactText(text)
    expect(redacted).not.toContain(gone)
    expect(redacted).toContain(kept)
    expect(redacted).toContain(`[redacted:${rule}:7777777777777777]`)
    expect(redactions.map((entry) => entry.rule)).toContain(rule)
  })

  it.each(secrets)('%s is replaced inside of JSON inside of JSON: %j', (_rule, text, gone) => {
    const nested = JSON.stringify({ outer: JSON.stringify({ note: [text] }) })
    const redacted = redact(nested)
    expect(() => JSON.parse(JSON.parse(redacted).outer)).not.toThrow()
    expect(JSON.parse(JSON.parse(redacted).outer).note[0]).not.toContain(gone)
  })

  it.each(harmless)('%j is left as it is', (text) => {
    expect(redact(text)).toBe(text)
  })

  it('a second pass changes nothing', () => {
    for (const [, text] of secrets) {
      const once = redact(text)
      expect(redact(once)).toBe(once)
    }
  })

  it('the marker has no token before the token key is known', () => {
    expect(createRedactor().redactText('password=hunter2').text).toBe(
      'password=[redacted:password]',
    )
  })
})

describe('JSON text', () => {
  it('a secret that is split by escapes is found and the rest of the text stays byte for byte', () => {
    const text =
      '{ "a" : "gh\\u0070_0123456789abcdefghijABCDEF" , "n":12345678901234567890,"n":1.0 }'
    expect(redact(text)).toBe(
      '{ "a" : "[redacted:github-token:7777777777777777]" , "n":12345678901234567890,"n":1.0 }',
    )
  })

  it('values under secret names are replaced at any depth, also numbers and lists', () => {
    const text = '{"a":{"password":12345,"tokens":7,"api_key":["k1","k2"],"client_secret":null}}'
    expect(JSON.parse(redact(text)).a).toEqual({
      password: '[redacted:password:7777777777777777]',
      tokens: 7,
      api_key: ['[redacted:api-key:7777777777777777]', '[redacted:api-key:7777777777777777]'],
      client_secret: null,
    })
  })

  it.each([
    ...['password', 'userPwd', 'pass', 'pin', 'auth', 'x.auth', 'dsn', 'jwt', 'otp', 'cookies'],
    ...['apiKey', 'api-key', 'api.key', 'API KEY', 'X-API-Key', 'private_key', 'secret.access.key'],
    ...['client_assertion', 'clientSecret', 'secretValue', 'DATABASE_URL', 'connection-string'],
    ...['accountKey', 'signing.key', 'subscription_key', 'auth_key', 'credentials', 'sas_token'],
    ...['http.request.header.proxy-authorization', 'Set-Cookie', 'refresh_token', 'master-key'],
  ])('%s is a secret name in JSON text as in a value', (name) => {
    expect(redact(JSON.stringify({ a: [{ [name]: 'QQQQ' }] }))).not.toContain('QQQQ')
    expect(redact(JSON.stringify({ a: JSON.stringify({ [name]: 'QQQQ' }) }))).not.toContain('QQQQ')
    const event = redactor.redactEvent({ attributes: { a: { [name]: 'QQQQ' } } })
    expect(JSON.stringify(event)).not.toContain('QQQQ')
  })

  it.each([
    'progressToken',
    'nextPageToken',
    'max_tokens',
    'token_count',
    'key',
    'passenger',
    'author',
  ])('%s is no secret name', (name) => {
    const text = JSON.stringify({ [name]: 'QQQQ' })
    expect(redact(text)).toBe(text)
  })

  it('name-value pairs are read in either order, plain and as OTLP attributes', () => {
    for (const text of [
      '{"name":"x-api-key","value":"QQQQ"}',
      '{"value":"QQQQ","name":"x-api-key"}',
      '{"key":"http.request.header.authorization","value":{"stringValue":"QQQQ"}}',
      '{"value":{"arrayValue":{"values":[{"stringValue":"QQQQ"}]}},"key":"password"}',
    ]) {
      expect(redact(text)).not.toContain('QQQQ')
      expect(() => JSON.parse(redact(text))).not.toThrow()
    }
  })

  it.each([
    ['a flag and its value in a list', { args: ['run', '--db-password', 'QQQQ', '--verbose'] }],
    ['a flag and a number', { args: ['--pin', 7777] }],
    ['a pair with capitals', { Name: 'DB_PASSWORD', Value: 'QQQQ' }],
    ['a pair that says val', [{ val: 'QQQQ', key: 'api_key' }]],
    ['a private JSON Web Key', { d: 'QQQQ', kty: 'RSA', n: 'public', e: 'AQAB', p: 'QQQQ' }],
    ['a symmetric JSON Web Key', { keys: [{ kty: 'oct', k: 'QQQQ' }] }],
    ['passwords of a form', { password1: 'QQQQ', password_confirmation: 'QQQQ' }],
    ['lists of tokens', { access_tokens: ['QQQQ'] }],
    ['phrases and codes', { seed_phrase: 'QQQQ', recoveryCodes: ['QQQQ'], mfa_code: 'QQQQ' }],
  ])('%s is replaced in JSON text as in a value', (_name, value) => {
    for (const text of [JSON.stringify(value), JSON.stringify(value, null, 2)]) {
      expect(redact(text)).not.toMatch(/QQQQ|\b7777\b/)
      expect(() => JSON.parse(redact(text))).not.toThrow()
      expect(JSON.parse(redact(text))).toEqual(
        JSON.parse(JSON.stringify(redactor.redactEvent({ attributes: { value } }).attributes))
          .value,
      )
    }
    const event = redactor.redactEvent({ attributes: { value, text: JSON.stringify(value) } })
    expect(JSON.stringify(event)).not.toMatch(/QQQQ|\b7777\b/)
  })

  it.each([
    { args: ['--token-file', 'x', '--password', '--verbose', 'y'] },
    { required: ['password', 'token'], d: 'x', k: 'y' },
    { kty: 'RSA', n: 'x', e: 'AQAB', kid: 'z' },
    { properties: { password: { type: 'string', description: 'the password' } } },
  ])('%j holds none', (value) => {
    expect(redact(JSON.stringify(value))).toBe(JSON.stringify(value))
    const event = { attributes: value }
    expect(redactor.redactEvent(event)).toBe(event)
  })

  it('both of two duplicate keys are read', () => {
    expect(redact('{"password":"QQQQ","password":"none"}')).not.toContain('QQQQ')
  })

  it('broken and truncated JSON is read too', () => {
    expect(redact('{"a":{"password":"QQQQ","b":')).not.toContain('QQQQ')
    expect(redact('{"password":"QQQQ')).not.toContain('QQQQ')
    expect(redact('{"x":1}}} password=QQQQ')).not.toContain('QQQQ')
    expect(redact('{"a":"gh\\u0070_0123456789abcdefghijABCDEF",,')).not.toContain(
      '0123456789abcdefghij',
    )
  })

  it('whatever the JSON, redaction leaves JSON', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom('password', 'name', 'value', 'x'),
        (value, key) => {
          const text = JSON.stringify({ [key]: value, secret: 'QQQQ', list: [value] })
          const redacted = redact(text)
          expect(redacted).not.toContain('QQQQ')
          expect(() => JSON.parse(redacted)).not.toThrow()
        },
      ),
    )
  })
})

describe('time', () => {
  const hostile: [string, string][] = [
    ['eyJ-', 'eyJ-'],
    ['://', 'a://b:'],
    ['password ', 'password '],
    ['password="', 'password="'],
    ["'token'", 'token:\'`"'],
    ['-----BEGIN PRIVATE KEY-----', '-----BEGIN PRIVATE KEY-----'],
    ['bearer ', 'bearer aaaaaaa'],
    ['--', '--'],
    ['cookie:', 'cookie: a=b '],
    ['brackets', '{"value":['],
    ['braces', '{"value":{'],
    ['quotes', '"'],
    ['backslashes', '\\"'],
    ['authorization', 'authorization:'],
    ['sk-', 'sk-a'],
    ['?sig=', '?sig='],
    ['redacted', '[redacted:'],
    ['-u', '-u a'],
    ['elements', '<password>x'],
    ['open elements', '<a '],
    ['netrc', 'login a password '],
    ['hashes', '$6$a'],
    ['bots', '12345678:AA'],
    ['mysql', 'a:a@tcp('],
    ['flags', '--pass '],
    ['flag values', '-aa bb '],
    ['lists of flags', '["--password",'],
    ['JSON Web Keys', '{"kty":"x","d":'],
    ['schemes', 'Authorization: a '],
    ['prefixes', 'hf_ key-0 xai- '],
    ['addresses', 'https://a/token '],
  ]
  it.each(hostile)('a megabyte of %j takes less than three seconds', (_name, unit) => {
    for (const text of [
      unit.repeat(1_000_000 / unit.length),
      `{"password":${unit.repeat(100_000)}`,
    ]) {
      const before = process.cpuUsage()
      redact(text)
      const { user, system } = process.cpuUsage(before)
      expect((user + system) / 1e6).toBeLessThan(3)
    }
  })
})
