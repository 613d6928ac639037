/** The ids of users and groups by their names, as this machine has them. Sources: passwd(5), group(5). */

import { readFileSync } from 'node:fs'
import type { IdOf } from './acl-text.ts'

/** Looks names up; the files are read when the first one is asked for. */
export function localIds(): IdOf {
  const read: Partial<Record<'user' | 'group', ReadonlyMap<string, number>>> = {}
  return (kind, name) => {
    const ids = (read[kind] ??= idsIn(kind === 'user' ? '/etc/passwd' : '/etc/group'))
    return ids.get(name)
  }
}

function idsIn(path: string): ReadonlyMap<string, number> {
  const ids = new Map<string, number>()
  for (const line of textOf(path).split('\n')) {
    const [name = '', , id = ''] = line.split(':')
    if (/^\d{1,10}$/.test(id) && !ids.has(name)) ids.set(name, Number(id))
  }
  return ids
}

/** Nothing where there is no such file: then nobody has a name. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
