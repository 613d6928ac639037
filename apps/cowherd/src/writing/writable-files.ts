/** The files of a volume as commands change them: `WritableFileSystem` does, and a mount (`mounted/`). */

import type { FileSystemReader, FileSystemWriter } from '@cowherd/fs'

export interface WritableFiles
  extends
    FileSystemReader,
    Pick<
      FileSystemWriter,
      | 'create'
      | 'createWhole'
      | 'mkdir'
      | 'mknod'
      | 'symlink'
      | 'link'
      | 'unlink'
      | 'rmdir'
      | 'rename'
      | 'setattr'
      | 'removeAttribute'
      | 'close'
    > {
  setAttribute(ref: Parameters<FileSystemWriter['setAttribute']>[0], name: Uint8Array | string, value: Uint8Array): void
  write(ref: Parameters<FileSystemWriter['write']>[0], offset: number, data: Uint8Array): void
  /** Of a mount: the device number that stat(2) tells of all that is in it. */
  readonly deviceNumber?: bigint
}
