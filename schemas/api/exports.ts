import { z } from 'zod'

/** `POST /api/v1/exports`: makes an evidence bundle. The reply is NDJSON: progress lines, then one result line. */
export const ExportRequest = z.strictObject({
  q: z.string().max(4096).default(''),
  from: z.string(),
  until: z.string(),
})
export type ExportRequest = z.infer<typeof ExportRequest>

export const ExportProgress = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('progress'), done: z.int(), total: z.int() }),
  z.strictObject({
    kind: z.literal('result'),
    id: z.string(),
    rows: z.int(),
    exportLeaf: z.int(),
    /** Fetch each with `GET /api/v1/exports/<id>/<name>`, or all with `GET /api/v1/exports/<id>/archive.zip`. */
    files: z.array(z.string()),
    /** Name of the archive, `<folder>.zip`, where `<folder>` is what it unpacks to. */
    archive: z.string(),
  }),
  z.strictObject({ kind: z.literal('problem'), code: z.string(), detail: z.string() }),
])
export type ExportProgress = z.infer<typeof ExportProgress>
