import { z } from 'zod'
import type { JsonValue } from '../leaf/canonical-json.ts'
import { Disposition, EventClass, OutcomeStatus } from './class.ts'
import { isTimestamp } from './timestamp.ts'

/**
 * Where a field lives in the ledger: `clear` stands readable in the leaf; every other group is one salted commitment
 * in the leaf, with the values in the sealed payload (see schemas/leaf/leaf.ts).
 */
export const sealedGroups = ['identity', 'arguments', 'result', 'addresses', 'text', 'raw'] as const
export type SealedGroup = (typeof sealedGroups)[number]
export type FieldGroup = 'clear' | SealedGroup

/** Storage and query type of a field. `json` values are kept as canonical JSON text in the columnar store. */
export type FieldType =
  | 'string'
  | 'keyword'
  | 'timestamp'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'list'
  | 'json'

export interface FieldSpec<S extends z.ZodType = z.ZodType> {
  readonly schema: S
  readonly group: FieldGroup
  readonly type: FieldType
  /** `source`: a sender may set it. `sealtrail`: assigned here, refused from senders. */
  readonly setBy: 'source' | 'sealtrail'
  /** Meaning, unit and the standard the name comes from. Published in the JSON Schema. */
  readonly doc: string
}

/** A JSON value as kept in an event: bounded by the receivers in size and depth. */
export const JsonField: z.ZodType<JsonValue> = z.json()

const name = z.string().min(1).max(256)
const id = z.string().min(1).max(256)
const longText = z.string().max(131_072)
const hex64 = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.int().nonnegative()
const scopes = z.array(z.string().min(1).max(256)).max(256)
const time = z
  .string()
  .refine(isTimestamp, { error: 'must be RFC 3339 UTC with nine fractional digits' })

function field<S extends z.ZodType>(
  type: FieldType,
  group: FieldGroup,
  schema: S,
  doc: string,
  setBy: 'source' | 'sealtrail' = 'source',
): FieldSpec<S> {
  return { schema, group, type, setBy, doc }
}

/**
 * The canonical event: one flat object with dotted keys. This table is the single source of the wire format, the
 * JSON Schema, the leaf, the columns of the columnar store and the fields of the query language.
 *
 * Names follow OpenTelemetry (GenAI and MCP conventions) where one exists. Every field is optional but the few that
 * {@link RecordedEvent} names; absent means unknown, an empty list means known to be empty.
 */
export const eventFields = {
  // -- record
  'event.id': field(
    'keyword',
    'clear',
    z.uuidv7(),
    'Identifier of this event, UUIDv7, assigned when it is sequenced.',
    'sealtrail',
  ),
  'event.class': field('keyword', 'clear', EventClass, 'What kind of thing the event records.'),
  'event.schema_version': field('integer', 'clear', z.literal(1), 'Version of this schema.'),
  'log.id': field(
    'keyword',
    'clear',
    name,
    'Log that holds the event; one a tenant, and `_system`.',
    'sealtrail',
  ),
  'record.disposition': field(
    'keyword',
    'clear',
    Disposition,
    'Whether the record was mapped, kept unmapped, or rejected.',
    'sealtrail',
  ),
  'record.reason': field(
    'string',
    'clear',
    z.string().max(512),
    'Why a record is unmapped or rejected: error code and field, never content.',
    'sealtrail',
  ),
  'record.notes': field(
    'list',
    'clear',
    z.array(z.string().max(128)).max(32),
    'What mapping or capture changed, e.g. `user.name:redacted_by_source`.',
    'sealtrail',
  ),
  'record.supersedes': field(
    'integer',
    'clear',
    count,
    'Leaf index of the event that this re-mapped event replaces.',
    'sealtrail',
  ),
  'mapping.id': field(
    'keyword',
    'clear',
    name,
    'Mapping that produced the event, as id@version.',
    'sealtrail',
  ),
  imported: field(
    'boolean',
    'clear',
    z.boolean(),
    'True for history loaded afterwards: teaches baselines, never alerts.',
  ),
  // -- time
  'time.occurred': field(
    'timestamp',
    'clear',
    time,
    'When it happened, by the clock of the source. Asserted.',
  ),
  'time.observed': field('timestamp', 'clear', time, 'When a collector or receiver saw it.'),
  'time.recorded': field(
    'timestamp',
    'clear',
    time,
    'When the sequencer put it into the log; never decreases within a log.',
    'sealtrail',
  ),
  'time.source': field(
    'keyword',
    'clear',
    z.enum(['source', 'collector', 'inferred']),
    'Whose clock `time.occurred` is.',
  ),
  // -- source
  'source.id': field(
    'keyword',
    'clear',
    name,
    'Source whose key authenticated the delivery.',
    'sealtrail',
  ),
  'source.certificate': field(
    'keyword',
    'identity',
    z.string().min(1).max(512),
    'Name of the client certificate that the delivery came with, as the source is bound to it: `URI:…`, `DNS:…`, `email:…`, `subject:…` or `spki-sha256:…`. Verified.',
    'sealtrail',
  ),
  'source.event.id': field(
    'keyword',
    'clear',
    id,
    'Identifier the source itself gave this event; unique within the source.',
  ),
  'source.product': field(
    'keyword',
    'clear',
    name,
    'Product that emitted the record, e.g. `claude-code`.',
  ),
  'source.format': field('keyword', 'clear', name, 'Wire format of the record, e.g. `otlp_logs`.'),
  'source.vantage': field(
    'keyword',
    'clear',
    z.enum(['client', 'gateway', 'server', 'idp']),
    'Where in the call path the source stands.',
  ),
  'source.trust': field(
    'keyword',
    'clear',
    z.enum(['verified', 'asserted', 'derived']),
    'Default provenance of the fields of this event.',
  ),
  'source.completeness': field(
    'keyword',
    'clear',
    z.enum(['full', 'sampled', 'truncated']),
    'Whether the source reports everything; sampled records never feed rate baselines.',
  ),
  'source.numbering': field(
    'keyword',
    'clear',
    z.enum(['collector', 'receiver']),
    'Who numbered the record. `receiver` proves the last leg only.',
    'sealtrail',
  ),
  'source.epoch': field(
    'keyword',
    'clear',
    z.string().max(64),
    'Numbering epoch of the source; a new key or spool begins a new one.',
  ),
  'source.seq': field(
    'integer',
    'clear',
    count,
    'Number of the record within (source, epoch), from 0, without holes.',
  ),
  'source.prev': field(
    'keyword',
    'clear',
    hex64,
    'HMAC-SHA-256 of the previous record as sent, under the chain key of the source.',
  ),
  'source.signal': field(
    'keyword',
    'clear',
    z.enum(['open', 'close', 'heartbeat', 'gap', 'silence']),
    'For class `source`: what the collector says about its own stream, or Sealtrail about it (`gap`, `silence`).',
  ),
  'source.missing': field('integer', 'clear', count, 'For a gap: how many records are missing.'),
  // -- protocol
  'mcp.method.name': field(
    'keyword',
    'clear',
    name,
    'MCP method, e.g. `tools/call` (OTel MCP conventions).',
  ),
  'mcp.protocol.version': field(
    'keyword',
    'clear',
    name,
    'MCP protocol revision, e.g. `2026-07-28`.',
  ),
  'mcp.session.id': field(
    'keyword',
    'identity',
    id,
    'Session id of the transport, where the revision has one.',
  ),
  'mcp.direction': field(
    'keyword',
    'clear',
    z.enum(['client_to_server', 'server_to_client']),
    'Who sent the request.',
  ),
  'jsonrpc.request.id': field(
    'keyword',
    'clear',
    id,
    'JSON-RPC id as text; numbers as digits. Not unique.',
  ),
  'jsonrpc.request.id_type': field(
    'keyword',
    'clear',
    z.enum(['string', 'number']),
    'JSON type of the request id.',
  ),
  'network.transport': field('keyword', 'clear', name, '`pipe` for stdio, `tcp` for HTTP (OTel).'),
  // -- correlation
  trace_id: field('keyword', 'clear', id, 'W3C trace id, lower-case hex.'),
  span_id: field('keyword', 'clear', id, 'W3C span id, lower-case hex.'),
  parent_span_id: field('keyword', 'clear', id, 'W3C parent span id, lower-case hex.'),
  'request.id': field('keyword', 'clear', id, 'Request id of a gateway.'),
  'gen_ai.conversation.id': field(
    'keyword',
    'identity',
    id,
    'Conversation or session id of the client (OTel GenAI).',
  ),
  'gen_ai.tool.call.id': field(
    'keyword',
    'clear',
    id,
    'Tool-call id given by the model (OTel GenAI).',
  ),
  'prompt.id': field('keyword', 'clear', id, 'Prompt the call belongs to.'),
  'turn.id': field('keyword', 'clear', id, 'Turn the call belongs to.'),
  'task.id': field('keyword', 'clear', id, 'MCP task id.'),
  'elevation.id': field(
    'keyword',
    'clear',
    id,
    'Ties a 403 challenge, the re-authorisation and the retry together.',
  ),
  'workflow.id': field('keyword', 'clear', id, 'Recurring prompt, template or job.'),
  'approval.id': field('keyword', 'clear', id, 'Approval under which the call ran.'),
  'approval.time': field('timestamp', 'clear', time, 'When the approval was given.'),
  // -- client, user, agent, host
  'mcp.client.id': field('keyword', 'identity', id, 'OAuth client id.'),
  'mcp.client.name': field(
    'keyword',
    'identity',
    name,
    'clientInfo.name: asserted by the client, never verified.',
  ),
  'mcp.client.version': field('keyword', 'identity', name, 'clientInfo.version.'),
  'mcp.client.user_agent': field(
    'string',
    'identity',
    z.string().max(1024),
    'User-Agent of the client.',
  ),
  'client.address': field('keyword', 'addresses', name, 'Network address of the client (OTel).'),
  'user.id': field('keyword', 'identity', id, 'Subject of the user, e.g. the `sub` claim.'),
  'user.name': field('keyword', 'identity', name, 'Readable name of the user.'),
  'user.email': field('keyword', 'identity', name, 'E-mail address of the user.'),
  'user.issuer': field('keyword', 'identity', name, 'Issuer of the subject, e.g. the `iss` claim.'),
  'user.groups': field('list', 'identity', z.array(name).max(256), 'Groups or roles of the user.'),
  'user.auth_method': field('keyword', 'clear', name, 'How the user was authenticated.'),
  'gen_ai.agent.id': field('keyword', 'identity', id, 'Agent id (OTel GenAI).'),
  'gen_ai.agent.name': field('keyword', 'identity', name, 'Agent name (OTel GenAI).'),
  'delegation.chain': field(
    'json',
    'identity',
    JsonField,
    'RFC 8693 actor chain as list of {iss, sub}.',
  ),
  'host.name': field('keyword', 'identity', name, 'Host of the client or tap.'),
  'os.user.name': field('keyword', 'identity', name, 'Operating-system user of the tap.'),
  'process.parent.name': field(
    'keyword',
    'identity',
    name,
    'Name of the process that started the tap.',
  ),
  // -- rights
  'auth.scopes.requested': field('list', 'clear', scopes, 'Scopes the client asked for.'),
  'auth.scopes.granted': field('list', 'clear', scopes, 'Scopes the token held.'),
  'auth.scopes.required': field('list', 'clear', scopes, 'Scopes the call needed.'),
  'auth.scopes.challenged': field(
    'list',
    'clear',
    scopes,
    'Scopes a WWW-Authenticate challenge named.',
  ),
  'auth.scopes.missing': field(
    'list',
    'clear',
    scopes,
    'Required but not granted. Derived.',
    'sealtrail',
  ),
  'auth.scopes.excess': field(
    'list',
    'clear',
    scopes,
    'Granted but not required, where required is known. Derived.',
    'sealtrail',
  ),
  'auth.token.id_hash': field(
    'keyword',
    'clear',
    id,
    'Keyed hash of the bearer token or its jti. The token itself is never stored.',
  ),
  'auth.token.audience': field(
    'list',
    'clear',
    z.array(name).max(32),
    'Audience of the token (RFC 8707).',
  ),
  'auth.token.issuer': field('keyword', 'clear', name, 'Issuer of the token.'),
  'auth.token.expires_at': field('timestamp', 'clear', time, 'Expiry of the token.'),
  'auth.credential_type': field('keyword', 'clear', name, 'e.g. `oauth`, `api_key`, `none`.'),
  'auth.challenge.error': field(
    'keyword',
    'clear',
    name,
    'error of WWW-Authenticate, e.g. `insufficient_scope` (RFC 6750).',
  ),
  'auth.challenge.status': field('integer', 'clear', count, 'HTTP status of the challenge.'),
  'elevation.attempt': field('integer', 'clear', count, 'Which attempt of the elevation this is.'),
  'elevation.outcome': field(
    'keyword',
    'clear',
    z.enum(['challenged', 'granted', 'refused', 'abandoned']),
    'How the elevation ended.',
  ),
  // -- tool
  'mcp.server.name': field('keyword', 'clear', name, 'Server that offers the tool.'),
  'mcp.server.version': field('keyword', 'clear', name, 'serverInfo.version.'),
  'mcp.server.url': field(
    'string',
    'addresses',
    z.string().max(4096),
    'URL or command of the server.',
  ),
  'gen_ai.tool.name': field('keyword', 'clear', name, 'Tool as the server knows it (OTel GenAI).'),
  'tool.exposed_name': field(
    'keyword',
    'clear',
    name,
    'Tool as the client saw it, where it differs.',
  ),
  'tool.definition_hash': field(
    'keyword',
    'clear',
    hex64,
    'SHA-256 of the RFC 8785 form of the tool definition in force, without `_meta`.',
  ),
  'tool.annotations': field('json', 'clear', JsonField, 'Annotations of the definition in force.'),
  'tool.list': field(
    'json',
    'result',
    JsonField,
    'For tool_list: [{name, definition_hash}], in the order of the server.',
  ),
  'tool.list_count': field('integer', 'clear', count, 'For tool_list: number of tools.'),
  'mcp.resource.uri': field('string', 'arguments', z.string().max(4096), 'Resource that was read.'),
  'gen_ai.prompt.name': field('keyword', 'clear', name, 'Prompt that was fetched.'),
  // -- arguments
  'gen_ai.tool.call.arguments': field(
    'json',
    'arguments',
    JsonField,
    'Arguments after redaction, at most 128 KiB.',
  ),
  'arguments.hash': field(
    'keyword',
    'arguments',
    hex64,
    'HMAC-SHA-256 of the RFC 8785 form of the arguments under the token key of the log.',
    'sealtrail',
  ),
  'arguments.size_bytes': field('integer', 'clear', count, 'Full size of the arguments.'),
  'arguments.capture': field(
    'keyword',
    'clear',
    z.enum(['full', 'redacted', 'truncated', 'hash_only', 'absent']),
    'How much of the arguments was kept.',
  ),
  // -- result
  'outcome.status': field('keyword', 'clear', OutcomeStatus, 'How the call ended.'),
  'outcome.http_status': field('integer', 'clear', count, 'HTTP status of the response.'),
  'rpc.response.status_code': field(
    'keyword',
    'clear',
    name,
    'JSON-RPC error code as text (OTel).',
  ),
  'error.type': field('keyword', 'clear', name, 'Class of the error, e.g. `tool_error` (OTel).'),
  'error.message': field('string', 'text', z.string().max(8192), 'Message of the error.'),
  'outcome.decision': field(
    'keyword',
    'clear',
    z.enum(['allow', 'deny', 'ask', 'none']),
    'Decision of a policy or a person.',
  ),
  'outcome.decision_by': field('keyword', 'clear', name, 'Who or what decided.'),
  'outcome.policy_id': field('keyword', 'clear', name, 'Policy that decided.'),
  'outcome.reason': field('string', 'text', z.string().max(8192), 'Reason of the decision.'),
  'gen_ai.tool.call.result': field(
    'json',
    'result',
    JsonField,
    'Result after redaction, at most 128 KiB.',
  ),
  'result.hash': field(
    'keyword',
    'result',
    hex64,
    'HMAC-SHA-256 of the RFC 8785 form of the result under the token key of the log.',
    'sealtrail',
  ),
  'result.size_bytes': field('integer', 'clear', count, 'Full size of the result.'),
  'result.capture': field(
    'keyword',
    'clear',
    z.enum(['full', 'redacted', 'truncated', 'hash_only', 'absent']),
    'How much of the result was kept.',
  ),
  'result.trust': field('keyword', 'clear', name, 'Trust label of the origin of the result.'),
  duration_ms: field('number', 'clear', z.number().nonnegative(), 'Duration in milliseconds.'),
  // -- model
  'gen_ai.request.model': field('keyword', 'clear', name, 'Model that asked for the call.'),
  'gen_ai.usage.input_tokens': field('integer', 'clear', count, 'Tokens in.'),
  'gen_ai.usage.output_tokens': field('integer', 'clear', count, 'Tokens out.'),
  'cost.usd': field('number', 'clear', z.number().nonnegative(), 'Cost in US dollars.'),
  // -- what was done to the record
  redactions: field('json', 'text', JsonField, 'Redaction manifest: list of {path, rule, action}.'),
  'redaction.count': field('integer', 'clear', count, 'Number of replaced values.'),
  provenance: field(
    'json',
    'clear',
    JsonField,
    'Fields whose provenance differs from `source.trust`: {field: verified|asserted|derived}.',
  ),
  attributes: field(
    'json',
    'text',
    JsonField,
    'Attributes of the source that have no canonical field, kept as they were.',
  ),
  'raw.record': field(
    'string',
    'raw',
    longText,
    'The record as received, after redaction; base64 where `raw.encoding` says so.',
  ),
  'raw.encoding': field(
    'keyword',
    'clear',
    z.enum(['utf8', 'base64']),
    'How `raw.record` is written.',
  ),
  'raw.size_bytes': field('integer', 'clear', count, 'Full size of the raw record.'),
  // -- what Sealtrail itself puts on the record
  'finding.id': field(
    'keyword',
    'clear',
    hex64,
    'Hash of detector, version and evidence.',
    'sealtrail',
  ),
  'finding.detector': field('keyword', 'clear', name, 'Detector as id@version.', 'sealtrail'),
  'finding.severity': field(
    'keyword',
    'clear',
    z.enum(['low', 'medium', 'high', 'critical']),
    'Severity.',
    'sealtrail',
  ),
  'finding.p': field(
    'number',
    'clear',
    z.number().min(0).max(1),
    'Calibrated tail probability of the observation.',
    'sealtrail',
  ),
  'finding.evidence': field(
    'list',
    'clear',
    z.array(z.string().max(20)).max(64),
    'Leaf indexes of the evidence, as decimal text.',
    'sealtrail',
  ),
  'finding.sentence': field(
    'string',
    'text',
    z.string().max(4096),
    'The finding in one sentence for a person.',
    'sealtrail',
  ),
  'finding.explanation': field(
    'json',
    'text',
    JsonField,
    'Explanation as data, see schemas/finding.ts.',
    'sealtrail',
  ),
  'admin.action': field(
    'keyword',
    'clear',
    name,
    'What was done, e.g. `source_key.create`.',
    'sealtrail',
  ),
  'admin.target': field('keyword', 'clear', name, 'Id of what it was done to.', 'sealtrail'),
  'admin.actor': field(
    'keyword',
    'identity',
    name,
    'Who did it: `user:<id>`, `operator` (on the machine) or `sealtrail`.',
    'sealtrail',
  ),
  'admin.version': field(
    'integer',
    'clear',
    count,
    'Version of the target after the change.',
    'sealtrail',
  ),
  'admin.details': field(
    'json',
    'text',
    JsonField,
    'Details of the change; secrets only as hashes.',
    'sealtrail',
  ),
  'admin.commitment': field(
    'keyword',
    'clear',
    hex64,
    'SHA-256 that the action commits to, e.g. of an export manifest.',
    'sealtrail',
  ),
} as const satisfies Record<string, FieldSpec>

export type EventField = keyof typeof eventFields

/** A map answers several times faster than an object of this size. */
const groups: ReadonlyMap<string, FieldGroup> = new Map(
  Object.entries(eventFields).map(([key, { group }]) => [key, group]),
)

/** All field names in catalogue order. */
export const eventFieldNames: readonly EventField[] = Object.keys(eventFields).filter(isEventField)

export function isEventField(key: string): key is EventField {
  return groups.has(key)
}

/** Group of a field; undefined for what is none. */
export function groupOf(key: string): FieldGroup | undefined {
  return groups.get(key)
}

/** Group of a field. */
export function fieldGroup(key: EventField): FieldGroup {
  return eventFields[key].group
}
