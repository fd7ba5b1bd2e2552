import { describe, expect, it } from 'vitest'
import { whenSettled } from '../../ingest/bus/kafka-client.ts'

/** As kafkajs throws what a broker answered: the protocol type stands on the error, or on its cause. */
function answered(type: string): Error {
  return new Error('retries are used up', { cause: Object.assign(new Error(type), { type }) })
}

describe('a start beside a broker that is not ready yet', () => {
  it.each([
    'UNKNOWN_TOPIC_OR_PARTITION',
    'GROUP_LOAD_IN_PROGRESS',
    'GROUP_COORDINATOR_NOT_AVAILABLE',
  ])('asks again after %s', async (type) => {
    let asked = 0
    const ask = async () => {
      if (++asked < 3) throw answered(type)
      return 'ready'
    }
    await expect(whenSettled(ask)).resolves.toBe('ready')
    expect(asked).toBe(3)
  })

  it('does not ask again after anything else', async () => {
    let asked = 0
    const refused = answered('TOPIC_AUTHORIZATION_FAILED')
    const ask = async () => {
      asked++
      throw refused
    }
    await expect(whenSettled(ask)).rejects.toBe(refused)
    expect(asked).toBe(1)
  })
})
