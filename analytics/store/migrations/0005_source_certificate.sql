ALTER TABLE observations ADD COLUMN IF NOT EXISTS source_certificate String CODEC(ZSTD(1)) AFTER source_id;
ALTER TABLE calls ADD COLUMN IF NOT EXISTS source_certificate String CODEC(ZSTD(1)) AFTER source_id;
