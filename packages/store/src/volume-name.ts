/**
 * The names of a volume's devices in one argument, joined by colons as mount(8) takes them: `a.img:b.img`.
 *
 * A path that exists as a whole is one device, colons or not; `\:` is a colon and `\\` a backslash inside a name.
 */

import { existsSync } from 'node:fs'
import { DeviceError } from '@cowherd/shim'

/** Splits VOLUME into its devices' paths. Throws DeviceError ENOENT when one of them is empty. */
export function parseVolume(volume: string, exists: (path: string) => boolean = existsSync): string[] {
  if (exists(volume)) return [volume]
  const paths: string[] = []
  let path = ''
  for (let i = 0; i <= volume.length; i++) {
    const char = volume[i]
    if (char === ':' || char === undefined) {
      if (path === '') throw new DeviceError('ENOENT', volume, 'an empty device name')
      paths.push(path)
      path = ''
    } else if (char === '\\' && (volume[i + 1] === ':' || volume[i + 1] === '\\')) {
      path += volume[++i] ?? ''
    } else {
      path += char
    }
  }
  return paths
}

/** The VOLUME that names these devices: what `parseVolume` splits. */
export function joinVolume(paths: readonly string[]): string {
  return paths.map((path) => path.replace(/[:\\]/g, '\\$&')).join(':')
}
