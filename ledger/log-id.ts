import { SealtrailError } from '../schemas/errors.ts'

/** Log of the deployment itself: users, keys, settings. */
export const systemLogId = '_system'

/** Log ids are path and origin parts: lower-case letters, digits, `_` and `-`. @throws SealtrailError `CONFIG_INVALID` */
export function checkLogId(logId: string): string {
  if (!/^[a-z0-9_-]{1,64}$/.test(logId)) {
    throw new SealtrailError('CONFIG_INVALID', `${JSON.stringify(logId)} is no log id`, {
      hint: 'Use 1 to 64 lower-case letters, digits, _ or -.',
    })
  }
  return logId
}
