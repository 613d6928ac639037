/** The fenced blocks of a Markdown document. */

export interface Block {
  /** The word behind the opening fence: `ts`, `sh`, `text`, ... */
  readonly language: string
  readonly text: string
  /** Line of the opening fence, from 1. */
  readonly line: number
  /** The text of a `text` block that follows with nothing but blank lines between: what this one prints. */
  readonly prints: string | undefined
}

/** All fenced blocks (three backticks at the start of a line), in order. */
export function blocksOf(markdown: string): Block[] {
  const lines = markdown.split('\n')
  const found: (Block & { readonly end: number })[] = []
  for (let at = 0; at < lines.length; at++) {
    const language = /^```(\w+)\s*$/.exec(lines[at] ?? '')?.[1]
    if (language === undefined) continue
    const end = lines.indexOf('```', at + 1)
    if (end < 0) throw new Error(`the block at line ${at + 1} has no end`)
    found.push({ language, text: `${lines.slice(at + 1, end).join('\n')}\n`, line: at + 1, end, prints: undefined })
    at = end
  }
  return found.map(({ end, ...block }, index) => {
    const next = found[index + 1]
    const follows = next?.language === 'text' && lines.slice(end + 1, next.line - 1).every((line) => line.trim() === '')
    return { ...block, prints: follows ? next.text : undefined }
  })
}
