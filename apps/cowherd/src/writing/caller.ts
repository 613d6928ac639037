/** In whose name files are made that have no original: the user's. */

import type { Caller } from '@cowherd/fs'

export function thisUser(): Caller {
  const umask = process.umask(0) // there is no other way to learn it
  process.umask(umask)
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, umask }
}
