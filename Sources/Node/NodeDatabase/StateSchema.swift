import GRDB

/// The tables of the state database, and the migrations that create them.
enum StateSchema {
    static func migrator() -> DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            // AUTOINCREMENT is needed because a snapshot's number names a directory. It must not be reused while the
            // old directory is being deleted.
            try database.execute(
                sql: """
                    CREATE TABLE snapshot (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        key TEXT NOT NULL UNIQUE,
                        parent INTEGER REFERENCES snapshot(id) ON DELETE RESTRICT,
                        kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
                        created INTEGER NOT NULL,
                        updated INTEGER NOT NULL,
                        labels TEXT NOT NULL,
                        -- The label containerd.io/snapshot.ref, by which containerd looks remote snapshots up.
                        ref TEXT,
                        -- NULL until known; then final for committed snapshots.
                        size INTEGER,
                        inodes INTEGER,
                        -- Of remote snapshots only.
                        chain TEXT,
                        layer TEXT,
                        CHECK ((chain IS NULL) = (layer IS NULL)),
                        CHECK (chain IS NULL OR kind = 3)
                    ) STRICT;
                    CREATE INDEX snapshot_parent ON snapshot (parent);
                    CREATE INDEX snapshot_ref ON snapshot (ref, parent) WHERE ref IS NOT NULL;
                    CREATE UNIQUE INDEX snapshot_chain ON snapshot (chain, ifnull(parent, 0)) WHERE chain IS NOT NULL;

                    -- Directories (by the number of their snapshot) and chains that Cleanup has to delete.
                    CREATE TABLE removed_directory (id INTEGER PRIMARY KEY) STRICT;
                    CREATE TABLE removed_chain (chain TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
                    """)
        }
        migrator.registerMigration("chains") { database in
            try database.execute(
                sql: """
                    CREATE TABLE chains (
                        slot INTEGER PRIMARY KEY AUTOINCREMENT,
                        id TEXT NOT NULL UNIQUE,
                        parent TEXT,
                        layer TEXT NOT NULL,
                        host TEXT NOT NULL,
                        repository TEXT NOT NULL
                    ) STRICT;
                    CREATE INDEX chains_by_layer ON chains (layer);
                    """)
        }
        migrator.registerMigration("profiles") { database in
            try database.execute(
                sql: """
                    CREATE TABLE profiles (
                        chain TEXT PRIMARY KEY,
                        host TEXT NOT NULL,
                        repository TEXT NOT NULL,
                        -- Counts up with every change: the largest is the newest, whatever the clock says.
                        turn INTEGER NOT NULL,
                        -- As in a profile file.
                        file BLOB NOT NULL
                    ) STRICT;
                    CREATE INDEX profiles_by_repository ON profiles (host, repository, turn);
                    CREATE UNIQUE INDEX profiles_by_turn ON profiles (turn);
                    """)
        }
        migrator.registerMigration("keys", migrate: LayerKeyMigration.run)
        migrator.registerMigration("claims") { database in
            try database.execute(
                sql: """
                    -- The label containerd.io/snapshot.ref at creation. The label itself may move to another snapshot.
                    ALTER TABLE snapshot ADD COLUMN claim TEXT;
                    -- A snapshot that has lost the label has a key that begins with the ID.
                    UPDATE snapshot SET claim = coalesce(ref, CASE WHEN key GLOB 'sha256:*' THEN substr(key, 1, 71) END)
                        WHERE chain IS NOT NULL;
                    DROP INDEX snapshot_chain;
                    CREATE INDEX snapshot_chain ON snapshot (chain, parent, claim) WHERE chain IS NOT NULL;
                    """)
        }
        migrator.registerMigration("bases") { database in
            try database.execute(
                sql: """
                    -- The chain below a local snapshot at its creation. The remote snapshot below may get another one.
                    ALTER TABLE snapshot ADD COLUMN base TEXT;
                    CREATE INDEX snapshot_base ON snapshot (base) WHERE base IS NOT NULL;
                    WITH RECURSIVE below (id, parent, chain) AS (
                        SELECT id, parent, NULL FROM snapshot WHERE chain IS NULL
                        UNION ALL
                        SELECT below.id, s.parent, s.chain FROM below JOIN snapshot s ON s.id = below.parent
                        WHERE below.chain IS NULL
                    )
                    UPDATE snapshot SET base = (SELECT chain FROM below WHERE below.id = snapshot.id AND chain NOT NULL)
                    WHERE chain IS NULL;
                    """)
        }
        return migrator
    }
}
