/**
 * POSIX ACLs: from the extended attribute in which Linux shows them to the text that tar archives carry, and back.
 *
 * The attribute is version 2 (u32), then entries of tag (u16), permissions (u16) and id (u32), little-endian; the text has
 * a line an entry, with numeric ids. Others write names, short words, commas between entries, and the id behind the permissions. Sources: linux/posix_acl_xattr.h, acl(5).
 */

const VERSION = 2
const HEADER_BYTES = 4
const ENTRY_BYTES = 8

const USER = 0x02
const GROUP = 0x08
const KINDS: ReadonlyMap<number, string> = new Map([
  [0x01, 'user'],
  [USER, 'user'],
  [0x04, 'group'],
  [GROUP, 'group'],
  [0x10, 'mask'],
  [0x20, 'other'],
])

/** The ACL as text, `user::rw-` and so on, each line ended. Returns undefined if the attribute is malformed. */
export function aclText(attribute: Uint8Array): string | undefined {
  const view = new DataView(attribute.buffer, attribute.byteOffset, attribute.length)
  if (view.byteLength < HEADER_BYTES || view.getUint32(0, true) !== VERSION) return undefined
  if ((view.byteLength - HEADER_BYTES) % ENTRY_BYTES !== 0) return undefined
  let text = ''
  for (let at = HEADER_BYTES; at < view.byteLength; at += ENTRY_BYTES) {
    const tag = view.getUint16(at, true)
    const kind = KINDS.get(tag)
    if (kind === undefined) return undefined
    const id = tag === USER || tag === GROUP ? `${view.getUint32(at + 4, true)}` : ''
    text += `${kind}:${id}:${permissionText(view.getUint16(at + 2, true))}\n`
  }
  return text
}

function permissionText(bits: number): string {
  return (bits & 4 ? 'r' : '-') + (bits & 2 ? 'w' : '-') + (bits & 1 ? 'x' : '-')
}

/** The id of a user or group; undefined if nobody is called so. */
export type IdOf = (kind: 'user' | 'group', name: string) => number | undefined

/**
 * The attribute that a text stands for: 'malformed', or 'unknown names' if `idOf` doesn't know one.
 */
export function parseAclText(text: string, idOf: IdOf): Uint8Array | 'malformed' | 'unknown names' {
  const entries: { tag: number; permissions: number; id: number }[] = []
  for (const part of text.split(/[\n,]/)) {
    const line = part.replace(/#.*/, '').trim()
    if (line === '') continue
    const [, word = '', name = '', bits = '', number] = LINE.exec(line) ?? []
    const kind = WORDS[word[0]]
    if (kind === undefined || (name !== '' && kind.named === undefined)) return 'malformed'
    const id = name === '' ? NO_ID : idNamed(word.startsWith('u') ? 'user' : 'group', number ?? name, idOf)
    if (id === undefined) return 'unknown names'
    const tag = name === '' ? kind.tag : (kind.named ?? 0)
    const permissions = (bits.includes('r') ? 4 : 0) | (bits.includes('w') ? 2 : 0) | (bits.includes('x') ? 1 : 0)
    entries.push({ tag, permissions, id })
  }
  if (entries.length === 0) return 'malformed'
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id)
  return attributeOf(entries)
}

const LINE = /^(?:d(?:efault)?:)?(u(?:ser)?|g(?:roup)?|m(?:ask)?|o(?:ther)?):([^:]*):([rwxX-]{1,4})(?::(\d+))?$/
const WORDS: Readonly<Record<string, { readonly tag: number; readonly named?: number }>> = {
  u: { tag: 0x01, named: USER },
  g: { tag: 0x04, named: GROUP },
  m: { tag: 0x10 },
  o: { tag: 0x20 },
}
const NO_ID = 0xffffffff

function idNamed(kind: 'user' | 'group', name: string, idOf: IdOf): number | undefined {
  return /^\d{1,10}$/.test(name) ? Number(name) : idOf(kind, name)
}

function attributeOf(entries: readonly { tag: number; permissions: number; id: number }[]): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + entries.length * ENTRY_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, VERSION, true)
  entries.forEach(({ tag, permissions, id }, i) => {
    const at = HEADER_BYTES + i * ENTRY_BYTES
    view.setUint16(at, tag, true)
    view.setUint16(at + 2, permissions, true)
    view.setUint32(at + 4, id, true)
  })
  return bytes
}
