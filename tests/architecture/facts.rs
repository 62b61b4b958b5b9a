//! What the rules want to know of a source file, read with syn.

use std::collections::{BTreeMap, BTreeSet};

use syn::buffer::{Cursor, TokenBuffer};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};

/// A source file: its path below `src/`, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The top-level module it belongs to; none for `lib.rs`, which declares them.
    pub fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Its module path: `orders/http/mod.rs` is `orders::http`.
    fn module_path(&self) -> Vec<String> {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        path.split('/').filter(|part| *part != "mod").map(str::to_owned).collect()
    }

    pub fn is_repo(&self) -> bool {
        self.path.ends_with("/repo.rs") || self.path.contains("/repo/")
    }

    pub fn at(&self, needle: &str) -> String {
        let line = self.text.lines().position(|line| line.contains(needle)).map_or(1, |n| n + 1);
        format!("src/{}:{line}: {needle}", self.path)
    }
}

/// What the rules want to know of a file.
#[derive(Default)]
pub struct Facts {
    here: Vec<String>,
    /// Names that a `use` brings in, and the absolute path of each
    names: BTreeMap<String, Vec<String>>,
    /// Every path, absolute where it can be told: `["crate", "orders", "Error"]`, `["sqlx", "query"]`
    pub paths: Vec<Vec<String>>,
    pub public_modules: Vec<String>,
    pub literals: Vec<String>,
    /// Calls that hand over a connection: the receiver or type, and the function
    pub handovers: Vec<(Callee, String)>,
    /// Functions of `impl` blocks
    pub methods: BTreeSet<String>,
    /// (method, path) of each `#[utoipa::path]`
    pub endpoints: Vec<(String, String)>,
    pub allows: Vec<String>,
}

pub enum Callee {
    /// `inventory` in `self.inventory.hold_in_tx(conn, …)`
    Named(String),
    /// `["crate", "events", "Events"]` in `Events::publish_in_tx(conn, …)`
    Type(Vec<String>),
}

impl Facts {
    pub fn of(source: &Source) -> Self {
        let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("src/{}: {error}", source.path));
        let mut facts = Self { here: source.module_path(), ..Self::default() };
        facts.visit_file(&file);
        facts
    }

    /// Follows `super`, `self` and what `use` brought in.
    fn absolute(&self, path: Vec<String>) -> Vec<String> {
        let ups = path.iter().take_while(|segment| *segment == "super").count();
        let rest = path[ups..].iter().skip(usize::from(path[0] == "self")).cloned();
        let root = || vec!["crate".to_owned()];
        match path[0].as_str() {
            "crate" => path,
            "stockhold" => root().into_iter().chain(path.into_iter().skip(1)).collect(),
            "super" | "self" => {
                let kept = self.here.len().saturating_sub(ups);
                root().into_iter().chain(self.here[..kept].iter().cloned()).chain(rest).collect()
            }
            first => match self.names.get(first) {
                Some(known) => known.iter().cloned().chain(path.into_iter().skip(1)).collect(),
                None => path,
            },
        }
    }

    fn see(&mut self, path: Vec<String>) {
        let path = self.absolute(path);
        self.paths.push(path);
    }

    fn see_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.see_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.see_use(tree, before)),
            syn::UseTree::Glob(_) => self.see([before, &["*".to_owned()]].concat()),
            syn::UseTree::Name(name) if name.ident == "self" => self.bring_in(before, before.last().cloned()),
            syn::UseTree::Name(name) => self.bring_in(&with(&name.ident), Some(name.ident.to_string())),
            syn::UseTree::Rename(rename) => self.bring_in(&with(&rename.ident), Some(rename.rename.to_string())),
        }
    }

    fn bring_in(&mut self, path: &[String], name: Option<String>) {
        let path = self.absolute(path.to_vec());
        self.names.extend(name.map(|name| (name, path.clone())));
        self.paths.push(path);
    }

    /// Paths and literals in a macro whose arguments are no expressions.
    fn see_tokens(&mut self, mut at: Cursor<'_>) {
        let mut path: Vec<String> = Vec::new();
        while !at.eof() {
            if let Some((ident, next)) = at.ident() {
                path.push(ident.to_string());
                at = next;
                let separator = at.punct().and_then(|(first, next)| Some((first, next.punct()?)));
                match separator {
                    Some((first, (second, next))) if first.as_char() == ':' && second.as_char() == ':' => at = next,
                    _ => self.end_path(&mut path),
                }
                continue;
            }
            self.end_path(&mut path);
            at = if let Some((inside, _, _, next)) = at.any_group() {
                self.see_tokens(inside);
                next
            } else if let Some((literal, next)) = at.literal() {
                self.literals.extend(syn::parse_str::<syn::LitStr>(&literal.to_string()).map(|text| text.value()));
                next
            } else {
                at.token_tree().map_or(Cursor::empty(), |(_, next)| next)
            };
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.see(std::mem::take(path));
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Facts {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.see_use(&item.tree, &[]);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !matches!(item.vis, syn::Visibility::Inherited) {
            self.public_modules.push(item.ident.to_string());
        }
        self.here.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.here.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.see(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        let arguments = Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
        match call.parse_body_with(arguments) {
            Ok(arguments) => arguments.iter().for_each(|argument| self.visit_expr(argument)),
            Err(_) => {
                let buffer = TokenBuffer::new2(call.tokens.clone());
                self.see_tokens(buffer.begin());
            }
        }
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.literals.push(literal.value());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let name: Vec<String> = attribute.path().segments.iter().map(|segment| segment.ident.to_string()).collect();
        let tokens = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => return,
        };
        match name.join("::").as_str() {
            "allow" | "expect" => self.allows.push(tokens),
            "utoipa::path" => {
                let method = tokens.split(',').next().unwrap_or_default().trim().to_owned();
                let path = tokens.split("path = \"").nth(1).and_then(|rest| rest.split('"').next());
                self.endpoints.push((method, path.unwrap_or_default().to_owned()));
            }
            _ => {}
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.methods.insert(item.sig.ident.to_string());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        if method.ends_with("_in_tx") || call.args.iter().any(is_connection) {
            let receiver = match &*call.receiver {
                syn::Expr::Field(field) => match &field.member {
                    syn::Member::Named(name) => name.to_string(),
                    syn::Member::Unnamed(_) => String::new(),
                },
                syn::Expr::Path(path) => path.path.get_ident().map_or_else(String::new, ToString::to_string),
                _ => String::new(),
            };
            self.handovers.push((Callee::Named(receiver), method));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let path = function.path.segments.iter().map(|s| s.ident.to_string()).collect::<Vec<String>>()
            && path.len() > 1
            && (path[path.len() - 1].ends_with("_in_tx") || call.args.iter().any(is_connection))
        {
            let path = self.absolute(path);
            let (function, of) = path.split_last().expect("it has more than one segment");
            self.handovers.push((Callee::Type(of.to_vec()), function.clone()));
        }
        visit::visit_expr_call(self, call);
    }
}

/// `conn`, `tx`, `snapshot`, and those behind `&mut` and `*`.
fn is_connection(argument: &syn::Expr) -> bool {
    match argument {
        syn::Expr::Reference(reference) => is_connection(&reference.expr),
        syn::Expr::Unary(unary) => is_connection(&unary.expr),
        syn::Expr::Path(path) => ["conn", "tx", "snapshot"].iter().any(|name| path.path.is_ident(name)),
        _ => false,
    }
}
