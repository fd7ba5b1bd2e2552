import { isAbsolute } from 'node:path'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { progressLines } from '../analytics/api/progress-lines.ts'
import { writeBackup } from '../ledger/backup/write-backup.ts'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import type { BackupProgress } from './backup-command.ts'
import type { Core } from './core.ts'
import { version } from './version.ts'

const BackupBody = z.strictObject({
  target: z.string().refine(isAbsolute),
  keys: z.string().refine(isAbsolute).optional(),
})

/** Lines a second are enough. */
const progressEveryMs = 100

/** `POST /control/backup` and `GET /control/erased` on the control socket: for the operator of this machine alone. */
export function backupRoutes(control: FastifyInstance, core: Core, data: string): void {
  control.get('/control/erased', async () => core.api.eraser.erasedList())

  control.post('/control/backup', (request, reply) => {
    const body = BackupBody.safeParse(request.body)
    if (!body.success) {
      throw new SealtrailError('REQUEST_INVALID', 'target and keys must be absolute paths')
    }
    const { target, keys } = body.data
    async function work(tell: (line: BackupProgress) => void): Promise<BackupProgress> {
      let toldMs = 0
      const onProgress = (done: number, total: number) => {
        if (performance.now() - toldMs < progressEveryMs) return
        toldMs = performance.now()
        tell({ kind: 'progress', done, total })
      }
      try {
        const product = `sealtrail ${version}`
        const { files } = await core.api.eraser.standStill(() =>
          writeBackup({ data, target, keys, product, now: new Date(), onProgress }),
        )
        const sizeBytes = files.reduce((sum, each) => sum + each.sizeBytes, 0)
        return { kind: 'result', files: files.length, sizeBytes }
      } catch (error) {
        core.api.logger.error({ err: error }, 'the backup failed')
        const said = isSealtrailError(error) || (error instanceof Error && 'code' in error)
        return {
          kind: 'failed',
          message:
            said && error instanceof Error ? error.message : 'the backup failed; see the log',
        }
      }
    }
    return reply.type('application/x-ndjson').send(Readable.from(progressLines(work)))
  })
}
