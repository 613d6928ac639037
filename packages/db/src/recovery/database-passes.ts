/**
 * The recovery passes of the database itself. What other programs read into memory at a start is read here when it is needed, so some of
 * the passes have nothing to do; they are listed, as a superblock may demand them. Format chapter 3, 3.6.6.
 */

import { POS_MIN } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { Database } from '../database.ts'
import { VolumeError } from '../errors.ts'
import type { PassTable } from './passes.ts'

export const databasePasses: PassTable<Database> = {
  accounting_read: (db) => db.usage.load(db.cursor(BtreeId.accounting)),
  alloc_read: nothing,
  stripes_read: (db) => {
    if (!db.cursor(BtreeId.stripes).seek(POS_MIN)) return
    throw new VolumeError('EROFS', 'btree stripes', 'erasure-coded data is not written: the volume can only be read')
  },
  snapshots_read: nothing,
  set_may_go_rw: (db) => db.goReadWrite(),
  trans_mark_dev_sbs: nothing, // follows the replay: it writes
  fs_journal_alloc: nothing, // a volume without a journal is refused
  journal_replay: (db) => {
    db.replay()
    db.markReserved()
  },
  fs_freespace_init: (db) => db.initFreespace(),
}

function nothing(): void {
  // read when it is needed
}
