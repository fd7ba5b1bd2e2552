import { isSealtrailError } from '../schemas/errors.ts'
import { tapCommand, tapHelp } from './tap-command.ts'

/** Entry of the light collector package: only what runs beside other people's programs. */
const [command, ...argv] = process.argv.slice(2)

if (command === 'tap') {
  tapCommand(argv).then(
    (code) => process.exit(code),
    (error: unknown) => {
      const hint = isSealtrailError(error) && error.hint !== undefined ? ` ${error.hint}` : ''
      process.stderr.write(
        `sealtrail: ${error instanceof Error ? error.message : String(error)}.${hint}\n`,
      )
      process.exit(2)
    },
  )
} else {
  process.stderr.write(tapHelp)
  process.exitCode = command === undefined || command === '--help' || command === '-h' ? 0 : 2
}
