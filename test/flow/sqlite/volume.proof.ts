import '../../support/on-sqlite.ts'
import '../volume.proof.ts'
