import Base
import CFUSE
import Glibc
import LazyFileSystem
import SystemPackage

/// The answers to requests for listings and extended attributes.
extension Session {
    func readdir(_ token: consuming RequestToken, of node: fuse_ino_t, size: Int, offset: off_t) {
        list(token, node: node, size: size, offset: offset) { token, name, entry, buffer in
            var attributes = stat()
            attributes.st_ino = ino_t(entry.node.rawValue)
            attributes.st_mode = mode_t(entry.type) << 12
            return token.add(name, attributes: attributes, next: entry.next, to: buffer)
        }
    }

    func readdirplus(_ token: consuming RequestToken, of node: fuse_ino_t, size: Int, offset: off_t) {
        list(token, node: node, size: size, offset: offset) { token, name, entry, buffer in
            // The kernel needs no node for `.` and `..`. If it needs the node of an entry that has none, it looks the
            // entry up.
            let isDots = entry.name.elementsEqual(".".utf8) || entry.name.elementsEqual("..".utf8)
            let result: fuse_entry_param
            if !isDots, let status = try? fileSystem.status(entry.node) {
                result = Self.entry(status)
            } else {
                var bare = fuse_entry_param()
                bare.attr.st_ino = ino_t(entry.node.rawValue)
                bare.attr.st_mode = mode_t(entry.type) << 12
                result = bare
            }
            return token.add(name, entry: result, next: entry.next, to: buffer)
        }
    }

    /// Answers a listing of the directory `node`, from the position `offset` on, with as many entries as fit into
    /// `size` bytes. `append` writes an entry to the buffer and returns the entry's size in bytes. If the entry is
    /// larger than the buffer, `append` writes nothing.
    private func list(
        _ token: consuming RequestToken, node: fuse_ino_t, size: Int, offset: off_t,
        _ append: (
            borrowing RequestToken, UnsafePointer<CChar>, ListedNode, UnsafeMutableRawBufferPointer
        ) -> Int
    ) {
        statistics.listings.add()
        let pooled = buffers.take()
        let buffer = pooled.prefix(size)
        var used = 0
        do {
            // libfuse requires names with a final NUL.
            try withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { name throws(LazyFileSystemError) in
                try fileSystem.list(NodeID(rawValue: node), from: UInt64(bitPattern: Int64(offset))) { entry in
                    guard entry.name.count < name.count, let start = name.baseAddress else { return true }
                    name.copyMemory(from: entry.name)
                    name[entry.name.count] = 0
                    let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[used...])
                    let taken = append(token, start.assumingMemoryBound(to: CChar.self), entry, rest)
                    guard taken <= rest.count else { return false }
                    used += taken
                    return true
                }
            }
            token.reply(UnsafeRawBufferPointer(rebasing: buffer[..<used]))
        } catch {
            fail(token, error)
        }
    }

    func getxattr(
        _ token: consuming RequestToken, of node: fuse_ino_t, name: UnsafePointer<CChar>, size: Int
    ) {
        statistics.extendedAttributes.add()
        let pooled = buffers.take()
        // A size of 0 asks only for the length.
        let buffer = pooled.prefix(size)
        do {
            let name = UnsafeRawBufferPointer(start: name, count: strlen(name))
            guard let count = try fileSystem.extendedAttribute(NodeID(rawValue: node), named: name, into: buffer) else {
                return token.fail(.noData)
            }
            answer(token, with: buffer, count: count, size: size)
        } catch {
            fail(token, error)
        }
    }

    func listxattr(_ token: consuming RequestToken, of node: fuse_ino_t, size: Int) {
        statistics.extendedAttributes.add()
        let pooled = buffers.take()
        let buffer = pooled.prefix(size)
        do {
            let count = try fileSystem.extendedAttributeNames(NodeID(rawValue: node), into: buffer)
            answer(token, with: buffer, count: count, size: size)
        } catch {
            fail(token, error)
        }
    }

    private func answer(
        _ token: consuming RequestToken, with buffer: UnsafeMutableRawBufferPointer, count: Int, size: Int
    ) {
        if size == 0 {
            token.reply(attributeLength: count)
        } else {
            token.reply(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}
