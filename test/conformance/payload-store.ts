import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PayloadStore } from '../../ledger/payload-store.ts'

/** Every payload begins with its version, so it never begins with zero. */
export const aPayload = (text: string): Uint8Array =>
  Buffer.concat([Uint8Array.of(1), Buffer.from(text)])
const text = (payload: Uint8Array | undefined) =>
  payload === undefined ? undefined : Buffer.from(payload.subarray(1)).toString()

/** What every PayloadStore must do. `open` opens the same data again each time within one test. */
export function describePayloadStore(
  name: string,
  prepare: () => Promise<() => Promise<PayloadStore>>,
): void {
  describe(`PayloadStore: ${name}`, () => {
    let open: () => Promise<PayloadStore>
    let store: PayloadStore
    beforeEach(async () => {
      open = await prepare()
      store = await open()
    })
    afterEach(() => store.close())
    async function reopen(): Promise<void> {
      await store.close()
      store = await open()
    }

    test('payloads are read back by index, in ranges with holes, also when it is opened again', async () => {
      await store.put('main', 0, [aPayload('a'), undefined, aPayload('c')])
      await store.put('main', 3, [undefined, undefined])
      await store.put('main', 5, [aPayload('f')])
      await store.put('other', 0, [aPayload('z')])
      for (let round = 0; round < 2; round++) {
        expect((await store.getRange('main', 0, 7)).map(text)).toEqual([
          'a',
          undefined,
          'c',
          undefined,
          undefined,
          'f',
          undefined,
        ])
        expect(text(await store.get('main', 2))).toBe('c')
        expect(text(await store.get('other', 0))).toBe('z')
        expect(await store.get('unknown', 0)).toBeUndefined()
        await reopen()
      }
    })

    test('what a crash left above the committed size is swept, and may be put again', async () => {
      await store.put('main', 0, [aPayload('a')])
      await store.put('main', 1, [aPayload('orphan'), aPayload('orphan')])
      await reopen()
      await store.sweep('main', 1)
      expect((await store.getRange('main', 0, 3)).map(text)).toEqual(['a', undefined, undefined])
      await store.put('main', 1, [aPayload('b')])
      await reopen()
      expect((await store.getRange('main', 0, 3)).map(text)).toEqual(['a', 'b', undefined])
    })

    test('a later put of the same index replaces the earlier one', async () => {
      await store.put('main', 0, [aPayload('a')])
      await store.put('main', 1, [aPayload('lost'), aPayload('lost too')])
      await store.put('main', 1, [aPayload('b')])
      await reopen()
      expect((await store.getRange('main', 0, 3)).map(text)).toEqual(['a', 'b', undefined])
    })

    test('a shredded payload is gone for good, its neighbours are not, and shredding again changes nothing', async () => {
      await store.put('main', 0, [aPayload('a'), aPayload('secret'), aPayload('c')])
      await store.shred('main', 1)
      await store.shred('main', 1)
      await store.shred('main', 99)
      await reopen()
      expect((await store.getRange('main', 0, 3)).map(text)).toEqual(['a', undefined, 'c'])
    })

    test('a blob is kept under its hash', async () => {
      const sha256 = 'ab'.repeat(32)
      expect(await store.getBlob('main', sha256)).toBeUndefined()
      await store.putBlob('main', sha256, aPayload('definition'))
      await store.putBlob('main', sha256, aPayload('definition'))
      await reopen()
      expect(text(await store.getBlob('main', sha256))).toBe('definition')
    })

    test('many puts at once end in order', async () => {
      await Promise.all(
        Array.from({ length: 50 }, (_, i) => store.put('main', i, [aPayload(String(i))])),
      )
      expect((await store.getRange('main', 0, 50)).map(text)).toEqual(
        Array.from({ length: 50 }, (_, i) => String(i)),
      )
    })
  })
}
