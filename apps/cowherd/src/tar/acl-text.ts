/**
 * POSIX ACLs: from the extended attribute in which Linux shows them to the text that tar archives carry.
 *
 * The attribute is version 2 (u32), then entries of tag (u16), permissions (u16) and id (u32), little-endian; the text has
 * a line an entry, with numeric ids. Sources: linux/posix_acl_xattr.h, acl(5).
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
