/**
 * Thrown inside this folder when a structure's content is wrong. It says what is wrong; the reader of the superblock,
 * which knows device, sector and section, turns it into a SuperblockError. Never leaves the folder.
 */
export class Malformed extends Error {
  override readonly name = 'Malformed'
}
