import { CopyButton } from './copy-button.tsx'

/** A line to paste into a terminal. */
export function CommandLine({ command }: { command: string }) {
  return (
    <div className="flex items-start gap-2 rounded-md border border-line bg-bg py-1 pl-3 pr-1">
      <code className="min-w-0 flex-1 py-1 text-left font-mono text-xs text-text [overflow-wrap:anywhere]">
        {command}
      </code>
      <CopyButton text={command} label="Copy the line" />
    </div>
  )
}
