/** Extended attributes of local files, by getfattr(1): Node can't read them. */

import { spawnSync } from 'node:child_process'

export const hasGetfattr = spawnSync('getfattr', ['--version']).status === 0

/** Extended attributes below `directory`, by path, as the manifest has them. */
export function xattrsOf(directory: string): Map<string, string> {
  const { stdout } = spawnSync('getfattr', ['-R', '-h', '-P', '-d', '-m', '-', '-e', 'hex', '.'], {
    cwd: directory,
    env: { ...process.env, LC_ALL: 'C' },
    maxBuffer: 1 << 28,
  })
  const found = new Map<string, string>()
  for (const block of stdout.toString('latin1').split('\n\n')) {
    const [head, ...lines] = block.trim().split('\n')
    const path = (head ?? '')
      .replace('# file: ', '')
      .replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
    const encode = (text: string): string =>
      [...text]
        .map((c) =>
          c < '!' || c > '~' || c === '%' || c === ',' ? `%${c.charCodeAt(0).toString(16).padStart(2, '0')}` : c,
        )
        .join('')
    const attributes = lines
      .map((line) =>
        line
          .replace('=0x', '=')
          .replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8))),
      )
      .map((line) => `${encode(line.slice(0, line.indexOf('=')))}=${line.slice(line.indexOf('=') + 1)}`)
    if (path !== '') found.set(encode(path), attributes.sort().join(','))
  }
  return found
}
