//! Classes: bases, members, methods.

use super::{MAX_DEPTH, Parsed, Parser, qualified};
use crate::abi::declaration::{
    Base, ClassDeclaration, Constant, Derivation, FieldDeclaration, Method, Type,
};
use crate::abi::lexer::Token;

impl Parser<'_> {
    /// A definition, a declaration, or a use of the type in another declaration, which is gone over.
    pub(super) fn class(&mut self, scope: &str) -> Parsed<()> {
        let start = self.at;
        let place = self.place();
        let is_union = self.is("union");
        self.at += 1;
        let Some(name) = self.class_name()? else {
            self.at = start;
            return self.skip_declaration();
        };
        let name = qualified(scope, name);
        if self.is(";") {
            self.found.declared.insert(name);
            return self.skip_declaration();
        }
        if !self.is(":") && !self.is("{") {
            self.at = start;
            return self.skip_declaration();
        }
        let mut class = ClassDeclaration {
            name,
            bases: Vec::new(),
            methods: Vec::new(),
            fields: Vec::new(),
            is_union,
            place,
            unreadable: None,
        };
        class.bases = self.bases()?;
        let body = self.at;
        self.skip_balanced()?;
        let end = self.at;
        self.at = body + 1;
        if let Err(unreadable) = self.members(&mut class, end - 1) {
            class.unreadable = Some(unreadable);
        }
        self.at = end;
        // An alignment of its own changes a layout in ways that are not worth to be measured.
        let aligned = |t: &Token| t.is("alignas") || t.is("aligned") || t.is("packed");
        if self.tokens[start..end].iter().any(aligned) {
            class.fields.push(FieldDeclaration { name: String::new(), kind: None });
        }
        self.found.declared.insert(class.name.clone());
        if self.defined.insert(class.name.clone()) {
            self.found.classes.push(class);
        }
        self.skip_declaration()
    }

    /// The name: the last identifier, as a macro that the headers leave undefined may come first.
    fn class_name(&mut self) -> Parsed<Option<&str>> {
        let mut name = None;
        loop {
            self.skip_attributes()?;
            match self.peek(0) {
                Some(token) if token.is("final") && name.is_some() => self.at += 1,
                Some(token) if token.is_identifier() => {
                    name = Some(&*token.text);
                    self.at += 1;
                }
                _ => return Ok(name),
            }
        }
    }

    /// From `:` to the `{` of the body.
    fn bases(&mut self) -> Parsed<Vec<Base>> {
        let mut bases = Vec::new();
        if self.take(":") {
            loop {
                let mut is_virtual = false;
                self.skip_attributes()?;
                while ["virtual", "public", "protected", "private"].iter().any(|t| self.is(t)) {
                    is_virtual |= self.is("virtual");
                    self.at += 1;
                }
                bases.push(Base { name: self.qualified_name()?, is_virtual });
                if !self.take(",") {
                    break;
                }
            }
        }
        if self.is("{") { Ok(bases) } else { Err(self.unexpected("the body of the class")) }
    }

    /// Members up to the `}` at `end`.
    fn members(&mut self, class: &mut ClassDeclaration, end: usize) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.depth -= 1;
            return Err(self.unexpected("classes nested less deeply"));
        }
        let mut read = Ok(());
        while read.is_ok() && self.at < end {
            read = self.member(class);
        }
        self.depth -= 1;
        if read.is_ok() && self.at != end {
            return Err(self.unexpected("members up to the end of the class"));
        }
        read
    }

    fn member(&mut self, class: &mut ClassDeclaration) -> Parsed<()> {
        self.skip_attributes()?;
        let Some(first) = self.peek(0) else { return Err(self.unexpected("a member")) };
        match &*first.text {
            ";" => {
                self.at += 1;
                Ok(())
            }
            "public" | "protected" | "private" => {
                self.at += 1;
                self.expect(":")
            }
            "using" => self.using(&class.name),
            "typedef" => self.typedef(&class.name),
            "template" => self.template(),
            "static_assert" => self.skip_declaration(),
            "enum" if self.defines_type() => self.enumeration(&class.name),
            "class" | "struct" | "union" if self.defines_type() => self.nested(class),
            _ => self.method_or_field(class),
        }
    }

    /// Whether a type is defined or declared here, not used.
    fn defines_type(&self) -> bool {
        let mut ahead = 1;
        while self.peek(ahead).is_some_and(|t| t.is_identifier() || t.is("[") || t.is("]")) {
            ahead += 1;
        }
        self.peek(ahead).is_some_and(|t| t.is("{") || t.is(":") || t.is(";"))
            && !(self.peek(ahead).is_some_and(|t| t.is(";")) && ahead > 2)
    }

    fn nested(&mut self, class: &mut ClassDeclaration) -> Parsed<()> {
        let anonymous = self.peek(1).is_some_and(|t| t.is("{"));
        let start = self.at;
        self.class(&class.name.clone())?;
        // What comes before the `;` is a member of that type.
        let declares = start + 2 < self.at && !self.tokens[self.at - 2].is("}");
        let only_declared = self.tokens[start..self.at].iter().all(|t| !t.is("{"));
        if anonymous || declares && !only_declared {
            class.fields.push(FieldDeclaration { name: String::new(), kind: None });
        }
        Ok(())
    }

    fn method_or_field(&mut self, class: &mut ClassDeclaration) -> Parsed<()> {
        let place = self.place();
        let specifiers = self.specifiers()?;
        if specifiers.is_friend {
            return self.skip_declaration();
        }
        let own_name = class.name.rsplit("::").next().unwrap_or(&class.name).to_owned();
        let mut method = Method {
            is_destructor: false,
            name: String::new(),
            returns: Type::default(),
            parameters: Vec::new(),
            is_const: false,
            reference: "",
            is_virtual: specifiers.is_virtual,
            overrides: false,
            place,
        };
        if self.is("~") {
            self.at += 1;
            let Some(name) = self.identifier() else { return Err(self.unexpected("a destructor")) };
            method.is_destructor = true;
            method.name = format!("~{name}");
        } else if self.is(&own_name) && self.peek(1).is_some_and(|t| t.is("(")) {
            self.at += 1;
            self.parameters()?;
            self.function_end()?;
            return Ok(());
        } else {
            if !self.is("operator") {
                method.returns = self.kind()?;
            }
            if self.is("operator") {
                method.name = self.operator_name()?;
                // `operator bool` returns what it is named after.
                if let Some(target) = method.name.strip_prefix("operator ")
                    && method.returns.name.is_empty()
                {
                    target.clone_into(&mut method.returns.name);
                }
            } else if self.is("(") {
                // A pointer to a function.
                class.fields.push(FieldDeclaration { name: String::new(), kind: None });
                return self.skip_declaration();
            } else if self.is(":") {
                // A bit field without a name.
                class.fields.push(FieldDeclaration { name: String::new(), kind: None });
                return self.skip_declaration();
            } else {
                let Some(name) = self.identifier() else { return Err(self.unexpected("a name")) };
                name.clone_into(&mut method.name);
            }
        }
        if !self.is("(") {
            return self.fields(class, method, specifiers.is_static);
        }
        method.parameters = self.parameters()?;
        let qualifiers = self.function_end()?;
        if !specifiers.is_static {
            method.is_const = qualifiers.is_const;
            method.reference = qualifiers.reference;
            method.overrides = qualifiers.overrides;
            if let Some(returns) = qualifiers.returns {
                method.returns = returns;
            }
            class.methods.push(method);
        }
        Ok(())
    }

    /// `operator` and what it overloads, up to the parameters.
    fn operator_name(&mut self) -> Parsed<String> {
        let mut name = String::new();
        loop {
            let Some(token) = self.peek(0) else { return Err(self.unexpected("an operator")) };
            let call = name == "operator" && token.is("(");
            if token.is("(") && !call {
                return Ok(name);
            }
            if token.is(";") || token.is("{") || token.is("}") {
                return Err(self.unexpected("an operator"));
            }
            if !name.is_empty() && token.is_identifier() {
                name.push(' ');
            }
            name.push_str(&token.text);
            self.at += 1;
            if call {
                self.expect(")")?;
                name.push(')');
            }
        }
    }

    /// Data members of one declaration; `first` has the type and the first name.
    fn fields(
        &mut self,
        class: &mut ClassDeclaration,
        first: Method,
        is_static: bool,
    ) -> Parsed<()> {
        let mut name = first.name;
        let base = first.returns;
        let mut kind = base.clone();
        loop {
            self.arrays(&mut kind)?;
            self.skip_attributes()?;
            let bits = self.take(":");
            if bits {
                while self.peek(0).is_some_and(|t| !t.is(",") && !t.is(";")) {
                    self.step()?;
                }
            }
            let value = self.initializer()?;
            if is_static {
                if let Some(value) = value {
                    let constant = Constant { scope: class.name.clone(), value };
                    self.found.constants.insert(qualified(&class.name, &name), constant);
                }
            } else {
                let kind = (!bits).then_some(kind);
                class.fields.push(FieldDeclaration { name, kind });
            }
            if self.take(";") {
                return Ok(());
            }
            if !self.take(",") {
                return Err(self.unexpected("; after a member"));
            }
            kind =
                Type { name: base.name.clone(), is_const: base.is_const, derivations: Vec::new() };
            while self.take("*") {
                kind.derivations.push(Derivation::Pointer { is_const: false });
            }
            name = match self.identifier() {
                Some(name) => name.to_owned(),
                None => return Err(self.unexpected("a name")),
            };
        }
    }
}
