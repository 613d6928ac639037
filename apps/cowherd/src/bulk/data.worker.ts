/** A thread that performs jobs of copying data. */

import { threadMain } from '@cowherd/shim'
import { DataJobs, type JobMemory } from './data-jobs.ts'

await threadMain<JobMemory>(({ data }) => new DataJobs(data).serve())
