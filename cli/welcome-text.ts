export interface Welcome {
  readonly origin: string
  readonly otlpOrigin: string
  readonly dataDirectory: string
  /** False: the commands need `--data`. */
  readonly isDefaultDirectory: boolean
  /** Of a one-time link; absent when there is an account. */
  readonly setupToken: string | undefined
  /** False: there is no dashboard to sign in to. */
  readonly withWeb: boolean
}

/** What `sealtrail up` prints when it is ready: where to go, and a line to copy that ships a first event. */
export function welcomeText(welcome: Welcome): string {
  const { origin, otlpOrigin, dataDirectory, isDefaultDirectory, setupToken, withWeb } = welcome
  const data = isDefaultDirectory ? '' : ` --data ${quoted(dataDirectory)}`
  const account =
    setupToken !== undefined && withWeb
      ? `  Make your account   ${origin}/setup?token=${setupToken}   (works once)`
      : `  ${withWeb ? 'Dashboard ' : 'API       '}          ${origin}${withWeb ? '' : '/api/v1   (without dashboard)'}`
  return `
Sealtrail is ready.

${account}
  Events              ${origin}/v1/events   (JSON, NDJSON; Authorization: Bearer <source key>)
  OTLP/HTTP           ${otlpOrigin}/v1/logs and /v1/traces   (http/json)
  Data                ${dataDirectory}

Ship a first event, from another terminal in this folder:

  KEY=$(npx sealtrail source-key create first --print key${data}); curl ${origin}/v1/events -H "authorization: Bearer $KEY" \\
    -H 'content-type: application/json' -d '{"event.class":"tool_call","mcp.server.name":"demo","gen_ai.tool.name":"hello"}'

Or see it at work: npm run demo${data === '' ? '' : ` --${data}`}
`
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
