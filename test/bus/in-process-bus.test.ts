import { openInProcessBus } from '../../ingest/bus/in-process-bus.ts'
import { describeEventBus } from '../conformance/event-bus.ts'

describeEventBus(
  'the in-process queue',
  async (settings) => {
    const bus = openInProcessBus(settings)
    return { bus, close: () => bus.close() }
  },
  false,
)
