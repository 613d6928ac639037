/** Kernel modules: finding those that a driver needs, in the order in which they must be loaded. */

import fs from 'node:fs'
import path from 'node:path'
import { must } from '../run.ts'

export interface Module {
  readonly name: string
  /** The module itself, unpacked. */
  readonly content: Buffer
}

/**
 * The named modules and all they depend on, dependencies first. Names that the kernel has built in, and so no file, are
 * left out. `tree` is a folder as /usr/lib/modules/VERSION.
 */
export async function modulesFor(tree: string, names: readonly string[]): Promise<Module[]> {
  const files = new Map<string, string>()
  for (const entry of fs.readdirSync(tree, { recursive: true, encoding: 'utf8' })) {
    if (entry.endsWith('.ko.xz')) files.set(plain(path.basename(entry, '.ko.xz')), path.join(tree, entry))
  }
  const ordered: Module[] = []
  const seen = new Set<string>()
  const visit = async (name: string): Promise<void> => {
    const packed = files.get(plain(name))
    if (packed === undefined || seen.has(packed)) return
    seen.add(packed)
    const content = await must('xz', ['-dc', packed])
    for (const needed of needsOf(content)) await visit(needed)
    ordered.push({ name: plain(name), content })
  }
  for (const name of names) await visit(name)
  return ordered
}

/** What a module says of itself: `depends=a,b` and `softdep=pre: c d`, among strings that end with a zero byte. */
function needsOf(content: Buffer): string[] {
  const strings = content.toString('latin1')
  const depends = /\0depends=([^\0]*)\0/.exec(strings)?.[1]?.split(',') ?? []
  const soft = [...strings.matchAll(/\0softdep=pre: ([^\0]*)\0/g)].flatMap((match) => (match[1] ?? '').split(' '))
  return [...depends, ...soft].filter((name) => name !== '')
}

/** Names are spelled with - or _ at will. */
function plain(name: string): string {
  return name.replaceAll('-', '_')
}
