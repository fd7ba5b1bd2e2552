import { buildDashboard } from '../cli/web-process.ts'

await buildDashboard()
